//! Ranges of numbers as digits.

use super::super::node::Range;

/// The integers of `range`, as alternatives.
pub(super) fn integer(range: Range) -> String {
    let mut ways = Vec::new();
    if range.least < 0 {
        let (least, most) = ((-range.most).max(1), -range.least);
        ways.push(format!("\"-\" ({})", natural(least, most)));
    }
    if range.most >= 0 {
        ways.push(natural(range.least.max(0), range.most));
    }
    ways.join(" | ")
}

/// The numbers of `range`, without exponents, as alternatives.
pub(super) fn number(range: Range) -> String {
    let mut ways = Vec::new();
    if range.least < 0 {
        let positive = decimal((-range.most).max(0), -range.least);
        ways.push(format!("\"-\" ({positive})"));
    }
    if range.most >= 0 {
        ways.push(decimal(range.least.max(0), range.most));
    }
    ways.join(" | ")
}

/// From `least` to `most`: the last one has only zeros behind its point.
fn decimal(least: i64, most: i64) -> String {
    let last = format!("\"{most}\" zeros?");
    match least < most {
        true => format!("({}) fraction? | {last}", natural(least, most - 1)),
        false => last,
    }
}

/// From `least` to `most`, without zeros in front.
fn natural(least: i64, most: i64) -> String {
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
