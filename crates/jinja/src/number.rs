//! Numbers as Python reckons and writes them.

use crate::error::{Result, failed};

/// A number of either kind.
#[derive(Clone, Copy)]
pub enum Number {
    /// A whole one.
    Int(i128),
    /// Another one.
    Float(f64),
}

impl Number {
    /// As a float.
    pub fn float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }
}

/// A whole number that does not fit.
pub fn too_large() -> crate::error::Error {
    failed("a whole number is too large")
}

/// `a // b`. Errors: `Failed` for a division by zero.
pub fn floor_divide(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return Err(failed("integer division or modulo by zero"));
    }
    let quotient = a.checked_div(b).ok_or_else(too_large)?;
    let is_rounded_up = a % b != 0 && (a < 0) != (b < 0);
    Ok(quotient - i128::from(is_rounded_up))
}

/// `a % b`, with the sign of `b`. Errors: `Failed` for a division by zero.
pub fn remainder(a: i128, b: i128) -> Result<i128> {
    if b == 0 {
        return Err(failed("integer division or modulo by zero"));
    }
    let rest = a.checked_rem(b).unwrap_or(0);
    Ok(if rest != 0 && (rest < 0) != (b < 0) {
        rest + b
    } else {
        rest
    })
}

/// `a % b` of floats.
pub fn float_remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// `a ** b`. Errors: `Failed` where the result does not fit.
pub fn power(a: i128, b: i128) -> Result<Number> {
    if b < 0 {
        if a == 0 {
            return Err(failed("0.0 cannot be raised to a negative power"));
        }
        return Ok(Number::Float((a as f64).powf(b as f64)));
    }
    if matches!(a, 0 | 1) {
        return Ok(Number::Int(if b == 0 { 1 } else { a }));
    }
    if a == -1 {
        return Ok(Number::Int(if b % 2 == 0 { 1 } else { -1 }));
    }
    let b = u32::try_from(b).map_err(|_| too_large())?;
    let value = a.checked_pow(b).ok_or_else(too_large)?;
    Ok(Number::Int(value))
}

/// A float as `repr` writes it.
pub fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{value}");
    match plain.contains('.') {
        true => plain,
        false => format!("{plain}.0"),
    }
}

/// A number from its text, as `int()` reads it.
pub fn parse_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(crate::words::is_space);
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let prefix = match base {
        2 => ["0b", "0B"],
        8 => ["0o", "0O"],
        16 => ["0x", "0X"],
        _ => ["", ""],
    };
    let digits = prefix
        .iter()
        .find_map(|prefix| digits.strip_prefix(prefix))
        .unwrap_or(digits);
    let is_spaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if is_spaced || !(2..=36).contains(&base) || digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if is_negative { -value } else { value })
}

/// A number from its text, as `float()` reads it.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(crate::words::is_space);
    if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
        return None;
    }
    text.replace('_', "").parse().ok()
}
