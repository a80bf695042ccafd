//! Prometheus' text format (0.0.4): heads, samples, histograms and what must be escaped. Knows no figure.

use std::fmt::{self, Display, Write};

use crate::metrics::{BOUNDS_US, Histogram};

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rises only.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Times, in seconds.
    Histogram,
}

impl Kind {
    /// The word of the format.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What all samples of one name have in common.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// The name, with its prefix; a counter's ends with `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Names of the labels, in the order of their values.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

/// The place for the samples below one head.
pub struct Samples<'a> {
    head: &'a Head,
    page: &'a mut String,
}

impl<'a> Samples<'a> {
    /// Writes the head.
    pub fn begin(page: &'a mut String, head: &'a Head) -> Samples<'a> {
        let (name, kind) = (head.name, head.kind.name());
        let help = Escaped(head.help, false);
        // A string takes whatever is written into it, here and below.
        let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Samples { head, page }
    }

    /// Writes a sample with one value for each label.
    pub fn put(&mut self, values: &[&str], value: impl Into<Number>) {
        debug_assert!(self.head.kind != Kind::Histogram);
        self.line("", values, None, value.into());
    }

    /// Writes a histogram in seconds: how many times are within each bound, how many there are, and their sum.
    pub fn times(&mut self, values: &[&str], times: &Histogram) {
        debug_assert!(self.head.kind == Kind::Histogram);
        let times = times.snapshot();
        for bound in BOUNDS_US {
            let seconds = (bound as f64 / 1e6).to_string();
            let within = times.until(bound);
            self.line("_bucket", values, Some(&seconds), within.into());
        }
        self.line("_bucket", values, Some("+Inf"), times.count.into());
        self.line("_sum", values, None, times.sum.as_secs_f64().into());
        self.line("_count", values, None, times.count.into());
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: Number) {
        debug_assert_eq!(self.head.labels.len(), values.len());
        let labels = self.head.labels.iter().zip(values);
        let labels = labels.map(|(name, value)| (*name, *value));
        let mut between = '{';
        let _ = write!(self.page, "{}{suffix}", self.head.name);
        for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let value = Escaped(value, true);
            let _ = write!(self.page, "{between}{name}=\"{value}\"");
            between = ',';
        }
        let end = if between == ',' { "}" } else { "" };
        let _ = writeln!(self.page, "{end} {value}");
    }
}

/// A value: whole numbers stay whole however large they are.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A count or a size.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Number {
        Number::Whole(value.into())
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Number {
        Number::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number::Real(value)
    }
}

impl Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(value) => write!(out, "{value}"),
            Number::Real(value) if *value == f64::INFINITY => out.write_str("+Inf"),
            Number::Real(value) if *value == f64::NEG_INFINITY => out.write_str("-Inf"),
            Number::Real(value) => write!(out, "{value}"),
        }
    }
}

/// A text with what would end its line, or (where it stands in quotes) its value, escaped.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => out.write_str("\\\\")?,
                '\n' => out.write_str("\\n")?,
                '"' if self.1 => out.write_str("\\\"")?,
                // The text ends with a NUL where it goes to C.
                '\0' => out.write_char(char::REPLACEMENT_CHARACTER)?,
                char => out.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TIMES: Head = Head {
        name: "t_seconds",
        kind: Kind::Histogram,
        labels: &["class"],
        help: "Times.",
    };

    #[test]
    fn what_would_end_a_line_or_a_value_is_escaped() {
        let head = Head {
            name: "info",
            kind: Kind::Gauge,
            labels: &["file", "name"],
            help: "A \"file\"\nin C:\\.",
        };
        let mut page = String::new();
        let mut samples = Samples::begin(&mut page, &head);
        samples.put(&["C:\\a\n", "a \"b\"\0"], 1u64);
        let expect = "# HELP info A \"file\"\\nin C:\\\\.\n# TYPE info gauge\n\
                      info{file=\"C:\\\\a\\n\",name=\"a \\\"b\\\"\u{fffd}\"} 1\n";
        assert_eq!(page, expect);
    }

    #[test]
    fn numbers_are_written_as_the_format_has_them() {
        let check = |value: Number, expect: &str| assert_eq!(value.to_string(), expect);
        check(u64::MAX.into(), "18446744073709551615");
        check(true.into(), "1");
        check(0.25.into(), "0.25");
        check(1e-7.into(), "0.0000001");
        check(f64::NAN.into(), "NaN");
        check(f64::INFINITY.into(), "+Inf");
        check(f64::NEG_INFINITY.into(), "-Inf");
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_with_its_count() {
        let times = Histogram::default();
        for ms in [0, 1, 2, 2, 1000, 500_000] {
            times.record(Duration::from_millis(ms));
        }
        let mut page = String::new();
        Samples::begin(&mut page, &TIMES).times(&["low"], &times);
        let has = |line: &str| assert!(page.lines().any(|l| l == line), "{line} in {page}");
        has("t_seconds_bucket{class=\"low\",le=\"0.000256\"} 1");
        has("t_seconds_bucket{class=\"low\",le=\"0.001024\"} 2");
        has("t_seconds_bucket{class=\"low\",le=\"0.002048\"} 4");
        has("t_seconds_bucket{class=\"low\",le=\"1.048576\"} 5");
        has("t_seconds_bucket{class=\"low\",le=\"268.435456\"} 5");
        has("t_seconds_bucket{class=\"low\",le=\"+Inf\"} 6");
        has("t_seconds_count{class=\"low\"} 6");
        has("t_seconds_sum{class=\"low\"} 501.005");
    }
}
