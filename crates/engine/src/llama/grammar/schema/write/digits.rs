//! Ranges of numbers as digits.

use super::super::range::{ONE, PLACES, Range};

/// The integers of `range`, as alternatives.
pub(super) fn integer(range: Range) -> String {
    let (least, most) = written(range);
    let (least, most) = (least / ONE, most / ONE);
    let mut ways = Vec::new();
    if least < 0 {
        ways.push(format!("\"-\" ({})", natural((-most).max(1), -least)));
    }
    if most >= 0 {
        ways.push(natural(least.max(0), most));
    }
    ways.join(" | ")
}

/// The numbers of `range`, without exponents, as alternatives.
pub(super) fn number(range: Range) -> String {
    let (least, most) = written(range);
    let room = range.places.map(|places| places as usize);
    let mut ways = Vec::new();
    if least < 0 {
        ways.push(format!("\"-\" ({})", decimal((-most).max(0), -least, room)));
    }
    if most >= 0 {
        ways.push(decimal(least.max(0), most, room));
    }
    ways.join(" | ")
}

fn written(range: Range) -> (i128, i128) {
    let written = range.written();
    written.expect("ranges of which nothing is written are refused where they are made")
}

/// From `least` to `most`, in units of bounds, with `room` digits behind the point.
fn decimal(least: i128, most: i128, room: Option<usize>) -> String {
    let (mut from, to) = (least / ONE, most / ONE);
    let (low, high) = (places(least), places(most));
    if from == to {
        return format!("\"{to}\"{}", behind_point(&low, Some(&high), room));
    }
    let mut ways = Vec::new();
    if !low.is_empty() {
        ways.push(format!("\"{from}\"{}", behind_point(&low, None, room)));
        from += 1;
    }
    if from < to {
        let fraction = match room {
            None => "fraction".to_owned(),
            Some(room) => format!("(\".\" [0-9]{{1,{room}}})"),
        };
        ways.push(format!("({}) {fraction}?", natural(from, to - 1)));
    }
    ways.push(format!("\"{to}\"{}", behind_point("", Some(&high), room)));
    ways.join(" | ")
}

/// The digits behind the point, without zeros at their end.
fn places(units: i128) -> String {
    let places = format!("{:0width$}", units % ONE, width = PLACES as usize);
    places.trim_end_matches('0').to_owned()
}

/// A point with at most `room` digits from `low` to `high`, or nothing if that is as good. Without `high` there is no end.
fn behind_point(low: &str, high: Option<&str>, room: Option<usize>) -> String {
    let mark = if low.is_empty() { "?" } else { "" };
    let digits = fraction(low, high, room.unwrap_or(PLACES as usize));
    format!(" (\".\" ({digits})){mark}")
}

/// One digit or more, `room` at most, from `low` to `high` as places behind a point.
fn fraction(low: &str, high: Option<&str>, room: usize) -> String {
    match (low, high) {
        ("", None) => return format!("[0-9]{{1,{room}}}"),
        ("", Some("")) => return format!("\"0\"{{1,{room}}}"),
        _ => {}
    }
    let first = low.bytes().next().unwrap_or(b'0');
    let last = high.map_or(b'9', |high| high.bytes().next().unwrap_or(b'0'));
    let low_rest = low.get(1..).unwrap_or("");
    let high_rest = high.map(|high| high.get(1..).unwrap_or(""));
    let then = |digit: u8, low: &str, high: Option<&str>| {
        let more = match room - 1 {
            0 => String::new(),
            room => format!(" ({})", fraction(low, high, room)),
        };
        let is_optional = low.is_empty() && !more.is_empty();
        let mark = if is_optional { "?" } else { "" };
        format!("\"{}\"{more}{mark}", char::from(digit))
    };
    if first == last {
        return then(first, low_rest, high_rest);
    }
    // Behind a digit that is not the one of a bound, the rest is free of that bound.
    let (mut from, mut to) = (first, last);
    let mut ways = Vec::new();
    if !low.is_empty() {
        ways.push(then(first, low_rest, None));
        from += 1;
    }
    if high.is_some() {
        ways.push(then(last, "", high_rest));
        to -= 1;
    }
    if from <= to {
        let (from, to) = (char::from(from), char::from(to));
        ways.push(format!("[{from}-{to}] [0-9]{{0,{}}}", room - 1));
    }
    ways.join(" | ")
}

/// From `least` to `most`, without zeros in front.
fn natural(least: i128, most: i128) -> String {
    let (mut low, high) = (least.to_string(), most.to_string());
    let mut ways = Vec::new();
    while low.len() < high.len() {
        ways.push(same_length(low.as_bytes(), &b"9".repeat(low.len())));
        low = format!("1{}", "0".repeat(low.len()));
    }
    ways.push(same_length(low.as_bytes(), high.as_bytes()));
    ways.join(" | ")
}

/// The numbers from `low` to `high`, which have equally many digits.
fn same_length(low: &[u8], high: &[u8]) -> String {
    let (Some((&first, low_rest)), Some((&last, high_rest))) =
        (low.split_first(), high.split_first())
    else {
        return "\"\"".to_owned();
    };
    let digits = low_rest.len();
    let zeros = b"0".repeat(digits);
    let nines = b"9".repeat(digits);
    if first == last && (low_rest != zeros || high_rest != nines) {
        return format!(
            "\"{}\" ({})",
            char::from(first),
            same_length(low_rest, high_rest)
        );
    }
    let (mut from, mut to) = (first, last);
    let mut ways = Vec::new();
    if low_rest != zeros {
        ways.push(format!(
            "\"{}\" ({})",
            char::from(first),
            same_length(low_rest, &nines)
        ));
        from += 1;
    }
    if high_rest != nines {
        ways.push(format!(
            "\"{}\" ({})",
            char::from(last),
            same_length(&zeros, high_rest)
        ));
        to -= 1;
    }
    if from <= to {
        let any = if digits == 0 {
            String::new()
        } else {
            format!(" [0-9]{{{digits}}}")
        };
        ways.push(format!("[{}-{}]{any}", char::from(from), char::from(to)));
    }
    ways.join(" | ")
}
