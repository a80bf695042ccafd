//! A date with its time, and `strftime` for it.

use crate::error::Result;
use crate::text::Writer;

/// A moment, without a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Year of our era.
    pub year: i32,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    /// From 0 to 23.
    pub hour: u32,
    /// From 0 to 59.
    pub minute: u32,
    /// From 0 to 59.
    pub second: u32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Moment {
    fn is_leap(year: i32) -> bool {
        (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
    }

    /// Days from the first of January, which is 0.
    fn day_of_year(&self) -> i64 {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap = self.month > 2 && Moment::is_leap(self.year);
        let month = before[(self.month.clamp(1, 12) - 1) as usize];
        month + i64::from(self.day) - 1 + i64::from(leap)
    }

    /// Days since the first of January of the year 1, which was a Monday.
    fn days(&self) -> i64 {
        let years = i64::from(self.year) - 1;
        years * 365 + years.div_euclid(4) - years.div_euclid(100)
            + years.div_euclid(400)
            + self.day_of_year()
    }

    /// Days from Monday, which is 0.
    fn weekday(&self) -> i64 {
        self.days().rem_euclid(7)
    }

    fn seconds(&self) -> i64 {
        let day = self.days() - 719_162;
        let time = (self.hour * 60 + self.minute) * 60 + self.second;
        day * 86_400 + i64::from(time)
    }

    /// Year and week of ISO 8601, whose weeks belong to the year of their Thursday.
    fn iso_week(&self) -> (i32, i64) {
        let thursday = self.day_of_year() - self.weekday() + 3;
        if thursday < 0 {
            let last = Moment {
                year: self.year - 1,
                month: 12,
                day: 31,
                ..*self
            };
            return last.iso_week();
        }
        let length = 365 + i64::from(Moment::is_leap(self.year));
        match thursday >= length {
            true => (self.year + 1, 1),
            false => (self.year, thursday / 7 + 1),
        }
    }

    /// Writes the moment as `format` says, in English. A directive that there is not stays as it is written.
    ///
    /// Errors: `Limit`.
    pub fn write(&self, format: &str, out: &mut Writer) -> Result<()> {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push(&rest[..at])?;
            let directive = &rest[at..];
            let flags = directive[1..]
                .find(|c| !matches!(c, '-' | '_' | '0' | '^' | '#'))
                .unwrap_or(directive.len() - 1);
            let Some(letter) = directive[1 + flags..].chars().next() else {
                return out.push(directive);
            };
            let end = 1 + flags + letter.len_utf8();
            match self.field(letter) {
                Some(field) => field.write(&directive[1..1 + flags], out)?,
                None => match self.combined(letter) {
                    Some(format) => self.write(format, out)?,
                    None => out.push(&directive[..end])?,
                },
            }
            rest = &directive[end..];
        }
        out.push(rest)
    }

    fn field(&self, letter: char) -> Option<Field> {
        let weekday = self.weekday();
        let day_name = DAYS[weekday as usize];
        let month_name = MONTHS[(self.month.clamp(1, 12) - 1) as usize];
        let twelve = (self.hour + 11) % 12 + 1;
        let half = if self.hour < 12 { "AM" } else { "PM" };
        let number = |value: i64, width, fill| Some(Field::Number { value, width, fill });
        let two = |value: u32| number(value.into(), 2, '0');
        match letter {
            'Y' => number(self.year.into(), 1, '0'),
            'C' => number((self.year / 100).into(), 2, '0'),
            'y' => number((self.year.rem_euclid(100)).into(), 2, '0'),
            'G' => number(self.iso_week().0.into(), 1, '0'),
            'g' => number(self.iso_week().0.rem_euclid(100).into(), 2, '0'),
            'V' => number(self.iso_week().1, 2, '0'),
            'm' => two(self.month),
            'd' => two(self.day),
            'e' => number(self.day.into(), 2, ' '),
            'H' => two(self.hour),
            'k' => number(self.hour.into(), 2, ' '),
            'I' => two(twelve),
            'l' => number(twelve.into(), 2, ' '),
            'M' => two(self.minute),
            'S' => two(self.second),
            'f' => number(0, 6, '0'),
            's' => number(self.seconds(), 1, '0'),
            'j' => number(self.day_of_year() + 1, 3, '0'),
            'U' => number((self.day_of_year() + 7 - (weekday + 1) % 7) / 7, 2, '0'),
            'W' => number((self.day_of_year() + 7 - weekday) / 7, 2, '0'),
            'u' => number(weekday + 1, 1, '0'),
            'w' => number((weekday + 1) % 7, 1, '0'),
            'A' => Some(Field::Name(day_name)),
            'a' => Some(Field::Name(&day_name[..3])),
            'B' => Some(Field::Name(month_name)),
            'b' | 'h' => Some(Field::Name(&month_name[..3])),
            'p' => Some(Field::Name(half)),
            'P' => Some(Field::Name(if self.hour < 12 { "am" } else { "pm" })),
            'n' => Some(Field::Name("\n")),
            't' => Some(Field::Name("\t")),
            '%' => Some(Field::Name("%")),
            'z' | 'Z' => Some(Field::Name("")),
            _ => None,
        }
    }

    fn combined(&self, letter: char) -> Option<&'static str> {
        Some(match letter {
            'c' => "%a %b %e %H:%M:%S %Y",
            'D' | 'x' => "%m/%d/%y",
            'F' => "%Y-%m-%d",
            'r' => "%I:%M:%S %p",
            'R' => "%H:%M",
            'T' | 'X' => "%H:%M:%S",
            _ => return None,
        })
    }
}

enum Field {
    Number {
        value: i64,
        width: usize,
        fill: char,
    },
    Name(&'static str),
}

impl Field {
    fn write(&self, flags: &str, out: &mut Writer) -> Result<()> {
        match *self {
            Field::Name(name) if flags.contains('^') => out.push(&name.to_uppercase()),
            Field::Name(name) => out.push(name),
            Field::Number { value, width, fill } => {
                let text = value.to_string();
                let fill = match flags.chars().next_back() {
                    Some('-') => None,
                    Some('_') => Some(" "),
                    Some('0') => Some("0"),
                    _ => Some(if fill == '0' { "0" } else { " " }),
                };
                if let Some(fill) = fill {
                    out.repeat(fill, width.saturating_sub(text.len()))?;
                }
                out.push(&text)
            }
        }
    }
}
