//! Widths, signs and digits: how one value is laid out by `format` and by `%`.

use crate::error::{Result, failed};
use crate::number::{Number, float_repr};
use crate::text::Writer;

/// Digits behind the point, at most.
const MAX_PRECISION: usize = 1000;

/// How a value is laid out.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What fills the width.
    pub fill: char,
    /// `<`, `>`, `^` or `=`; `None`: what is usual for the value.
    pub align: Option<char>,
    /// `+`, `-` or a blank.
    pub sign: char,
    /// `#`.
    pub alternate: bool,
    /// Characters, at least.
    pub width: usize,
    /// Between groups of three digits.
    pub group: Option<char>,
    /// Digits, or characters at most.
    pub precision: Option<usize>,
    /// The type's letter.
    pub kind: Option<char>,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            fill: ' ',
            align: None,
            sign: '-',
            alternate: false,
            width: 0,
            group: None,
            precision: None,
            kind: None,
        }
    }
}

/// Takes a number from the front of `rest`; one that is too long is the largest.
pub fn take_number(rest: &mut &str) -> Option<usize> {
    let len = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(len);
    *rest = behind;
    (len > 0).then(|| digits.parse().unwrap_or(usize::MAX))
}

impl Spec {
    /// Reads the part behind the colon of a field. Errors: `Failed`.
    pub fn parse(text: &str) -> Result<Spec> {
        let mut spec = Spec::default();
        let mut rest = text;
        let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
        let mut chars = rest.chars();
        match (chars.next(), chars.next()) {
            (Some(fill), Some(align)) if is_align(align) => {
                spec.fill = fill;
                spec.align = Some(align);
                rest = chars.as_str();
            }
            (Some(align), _) if is_align(align) => {
                spec.align = Some(align);
                rest = &rest[1..];
            }
            _ => {}
        }
        if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')) {
            spec.sign = sign;
            rest = &rest[1..];
        }
        if let Some(behind) = rest.strip_prefix('#') {
            spec.alternate = true;
            rest = behind;
        }
        if let Some(behind) = rest.strip_prefix('0') {
            if spec.align.is_none() {
                spec.fill = '0';
                spec.align = Some('=');
            }
            rest = behind;
        }
        spec.width = take_number(&mut rest).unwrap_or(0);
        if let Some(group) = rest.chars().next().filter(|c| matches!(c, ',' | '_')) {
            spec.group = Some(group);
            rest = &rest[1..];
        }
        if let Some(behind) = rest.strip_prefix('.') {
            rest = behind;
            let precision = take_number(&mut rest);
            spec.precision =
                Some(precision.ok_or_else(|| failed("Format specifier missing precision"))?);
        }
        let mut chars = rest.chars();
        spec.kind = chars.next();
        match chars.next() {
            None => Ok(spec),
            Some(_) => Err(failed(format!("Invalid format specifier '{text}'"))),
        }
    }

    /// Writes a text. Errors: `Failed` for a layout that texts do not have; `Limit`.
    pub fn write_text(&self, text: &str, out: &mut Writer) -> Result<()> {
        if !matches!(self.kind, None | Some('s')) || self.align == Some('=') && self.fill != '0' {
            return Err(self.unknown("str"));
        }
        let text = match self.precision {
            Some(most) => {
                out.budget().look(text.len())?;
                let end = text
                    .char_indices()
                    .nth(most)
                    .map_or(text.len(), |(at, _)| at);
                &text[..end]
            }
            None => text,
        };
        let align = match self.align {
            None | Some('=') => '<',
            Some(align) => align,
        };
        self.pad("", text, align, out)
    }

    /// Writes a number. Errors: `Failed` for a layout that such numbers do not have; `Limit`.
    pub fn write_number(&self, number: Number, out: &mut Writer) -> Result<()> {
        let kind = self.kind;
        let (is_negative, prefix, digits) = match (number, kind) {
            (Number::Int(value), None | Some('d' | 'n' | 'i' | 'u')) => {
                (value < 0, "", value.unsigned_abs().to_string())
            }
            (Number::Int(value), Some('x')) => {
                (value < 0, "0x", format!("{:x}", value.unsigned_abs()))
            }
            (Number::Int(value), Some('X')) => {
                (value < 0, "0X", format!("{:X}", value.unsigned_abs()))
            }
            (Number::Int(value), Some('o')) => {
                (value < 0, "0o", format!("{:o}", value.unsigned_abs()))
            }
            (Number::Int(value), Some('b')) => {
                (value < 0, "0b", format!("{:b}", value.unsigned_abs()))
            }
            (Number::Int(value), Some('c')) => {
                let c = u32::try_from(value).ok().and_then(char::from_u32);
                let c = c.ok_or_else(|| failed("%c arg not in range(0x110000)"))?;
                let align = self.align.unwrap_or('<');
                return self.pad("", c.encode_utf8(&mut [0; 4]), align, out);
            }
            (number, None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' | 'n')) => {
                let value = number.float();
                let digits = self.float_digits(value.abs())?;
                (value.is_sign_negative() && !value.is_nan(), "", digits)
            }
            (Number::Int(_), _) => return Err(self.unknown("int")),
            (Number::Float(_), _) => return Err(self.unknown("float")),
        };
        let digits = match self.group {
            Some(group) => grouped(&digits, group),
            None => digits,
        };
        let sign = match (is_negative, self.sign) {
            (true, _) => "-",
            (false, '+') => "+",
            (false, ' ') => " ",
            _ => "",
        };
        let prefix = if self.alternate { prefix } else { "" };
        self.pad(
            &format!("{sign}{prefix}"),
            &digits,
            self.align.unwrap_or('>'),
            out,
        )
    }

    fn unknown(&self, kind: &str) -> crate::error::Error {
        let code = self.kind.unwrap_or('=');
        failed(format!(
            "Unknown format code '{code}' for object of type '{kind}'"
        ))
    }

    fn float_digits(&self, value: f64) -> Result<String> {
        if self.precision.is_some_and(|digits| digits > MAX_PRECISION) {
            return Err(failed("precision too big"));
        }
        if value.is_nan() || value.is_infinite() {
            return Ok(float_repr(value));
        }
        let precision = self.precision.unwrap_or(6);
        let text = match self.kind {
            Some('f' | 'F') => format!("{value:.precision$}"),
            Some('%') => format!("{:.precision$}%", value * 100.0),
            Some('e' | 'E') => scientific(value, precision),
            None if self.precision.is_none() => float_repr(value),
            _ => general(value, precision.max(1), self.alternate, self.kind.is_none()),
        };
        Ok(match self.kind {
            Some('E' | 'G' | 'F') => text.to_uppercase(),
            _ => text,
        })
    }

    fn pad(&self, prefix: &str, text: &str, align: char, out: &mut Writer) -> Result<()> {
        out.budget().look(text.len())?;
        let missing = self
            .width
            .saturating_sub(prefix.len() + text.chars().count());
        let (left, right) = match align {
            '<' => (0, missing),
            '^' => (missing / 2, missing - missing / 2),
            '=' => {
                out.push(prefix)?;
                self.fill(missing, out)?;
                return out.push(text);
            }
            _ => (missing, 0),
        };
        self.fill(left, out)?;
        out.push(prefix)?;
        out.push(text)?;
        self.fill(right, out)
    }

    fn fill(&self, count: usize, out: &mut Writer) -> Result<()> {
        out.repeat(self.fill.encode_utf8(&mut [0; 4]), count)
    }
}

fn grouped(digits: &str, group: char) -> String {
    let whole = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let mut text = String::new();
    for (n, c) in digits[..whole].chars().enumerate() {
        if n > 0 && (whole - n) % 3 == 0 {
            text.push(group);
        }
        text.push(c);
    }
    text + &digits[whole..]
}

fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn general(value: f64, precision: usize, alternate: bool, keeps_point: bool) -> String {
    let text = scientific(value, precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let number: i64 = exponent.parse().unwrap_or(0);
    let is_plain = (-4..precision as i64).contains(&number);
    let shortened = |text: &str| match text.contains('.') && !alternate {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if !is_plain {
        return format!("{}e{exponent}", shortened(digits));
    }
    let behind = (precision as i64 - 1 - number).max(0) as usize;
    let text = shortened(&format!("{value:.behind$}"));
    match keeps_point && !text.contains('.') {
        true => format!("{text}.0"),
        false => text,
    }
}
