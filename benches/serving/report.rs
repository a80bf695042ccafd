//! What was measured and what it says: rows with references, targets and verdicts, as a table and as JSON.
//!
//! The only place that judges. Knows not how a value was taken.

use serde_json::{Map, Value, json};

use crate::samples::Samples;

/// How far the rounds of a reference may lie apart for a ratio to count.
const NOISE: f64 = 1.10;

/// A limit for a value.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtLeast(limit) => value >= limit,
            Bound::AtMost(limit) => value <= limit,
        }
    }
}

/// What a row is to show.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Our median over the reference's.
    Ratio(Bound),
    /// Our median.
    Value(Bound),
    /// Our median, which does not depend on how fast the machine is or how large the shapes are.
    Count(Bound),
}

/// What ours is compared with.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Whose values these are.
    pub name: String,
    /// The values.
    pub samples: Samples,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The section.
    pub section: &'static str,
    /// What was measured.
    pub what: String,
    /// In which unit.
    pub unit: &'static str,
    /// Our values.
    pub ours: Samples,
    /// What they are compared with.
    pub reference: Option<Reference>,
    /// What they should be.
    pub target: Option<Target>,
    /// Further facts, for the JSON only.
    pub details: Value,
}

/// Whether a row shows what it is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Met,
    /// It does not.
    Missed,
    /// The reference's rounds lie too far apart to tell.
    Noisy,
    /// Nothing was asked, or what was measured cannot tell.
    None,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Noisy => "noisy",
            Verdict::None => "",
        }
    }
}

impl Row {
    /// A row with values only.
    pub fn new(section: &'static str, what: impl Into<String>, unit: &'static str) -> Row {
        Row {
            section,
            what: what.into(),
            unit,
            ours: Samples::new(),
            reference: None,
            target: None,
            details: Value::Null,
        }
    }

    /// With our values.
    pub fn ours(mut self, samples: impl Into<Samples>) -> Row {
        self.ours = samples.into();
        self
    }

    /// With what they are compared with.
    pub fn against(mut self, name: impl Into<String>, samples: impl Into<Samples>) -> Row {
        self.reference = Some(Reference {
            name: name.into(),
            samples: samples.into(),
        });
        self
    }

    /// With what they should be.
    pub fn target(mut self, target: Target) -> Row {
        self.target = Some(target);
        self
    }

    /// With further facts.
    pub fn details(mut self, details: Value) -> Row {
        self.details = details;
        self
    }

    fn ratio(&self) -> Option<f64> {
        let reference = self.reference.as_ref()?.samples.median();
        (reference > 0.0).then(|| self.ours.median() / reference)
    }

    /// Judges the row. `judges_speed`: the shapes are those that the targets for speeds and times are about.
    fn verdict(&self, judges_speed: bool) -> Verdict {
        let said = |holds| match holds {
            true => Verdict::Met,
            false => Verdict::Missed,
        };
        match self.target {
            Some(Target::Count(bound)) => said(bound.holds(self.ours.median())),
            Some(Target::Value(bound)) if judges_speed => said(bound.holds(self.ours.median())),
            Some(Target::Ratio(bound)) if judges_speed => match (&self.reference, self.ratio()) {
                (Some(reference), Some(_)) if reference.samples.spread() > NOISE => Verdict::Noisy,
                (_, Some(ratio)) => said(bound.holds(ratio)),
                _ => Verdict::None,
            },
            _ => Verdict::None,
        }
    }

    fn target_text(&self) -> String {
        let (bound, mark) = match self.target {
            None => return String::new(),
            Some(Target::Ratio(bound)) => (bound, "x"),
            Some(Target::Value(bound) | Target::Count(bound)) => (bound, ""),
        };
        match bound {
            Bound::AtLeast(limit) => format!(">= {limit}{mark}"),
            Bound::AtMost(limit) => format!("<= {limit}{mark}"),
        }
    }

    fn to_json(&self, judges_speed: bool) -> Value {
        let verdict = self.verdict(judges_speed);
        let reference = self.reference.as_ref().map(|reference| {
            json!({
                "name": reference.name,
                "samples": reference.samples.to_json(),
                "spread": reference.samples.spread(),
            })
        });
        json!({
            "section": self.section,
            "what": self.what,
            "unit": self.unit,
            "ours": self.ours.to_json(),
            "reference": reference,
            "ratio": self.ratio(),
            "target": self.target.map(|_| self.target_text()),
            "verdict": match verdict {
                Verdict::None => Value::Null,
                verdict => verdict.word().to_lowercase().into(),
            },
            "details": self.details,
        })
    }

    fn cells(&self, judges_speed: bool) -> [String; 9] {
        let range = |samples: &Samples| {
            let (min, max) = (number(samples.min()), number(samples.max()));
            format!("{min}..{max}")
        };
        let reference = self.reference.as_ref();
        [
            self.section.to_owned(),
            self.what.clone(),
            format!("{} {}", number(self.ours.median()), self.unit),
            range(&self.ours),
            reference.map_or_else(String::new, |r| {
                format!("{} {}", number(r.samples.median()), r.name)
            }),
            reference.map_or_else(String::new, |r| range(&r.samples)),
            self.ratio().map_or_else(String::new, |r| format!("{r:.3}")),
            self.target_text(),
            self.verdict(judges_speed).word().to_owned(),
        ]
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whether speeds and times are judged.
    pub judges_speed: bool,
    rows: Vec<Row>,
    notes: Vec<String>,
    failures: usize,
}

impl Report {
    /// Adds a row.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a remark, such as why something was not measured.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds a remark on a measurement that failed, which counts as a target missed.
    pub fn failure(&mut self, text: impl Into<String>) {
        self.failures += 1;
        self.note(text);
    }

    /// Targets missed and measurements failed.
    pub fn missed(&self) -> usize {
        let missed = |row: &&Row| row.verdict(self.judges_speed) == Verdict::Missed;
        self.failures + self.rows.iter().filter(missed).count()
    }

    /// The table and the remarks.
    pub fn table(&self) -> String {
        const HEAD: [&str; 9] = [
            "section",
            "what",
            "ours",
            "range",
            "reference",
            "range",
            "ratio",
            "target",
            "verdict",
        ];
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.rows.iter().map(|row| row.cells(self.judges_speed)));
        let mut widths = [0; 9];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.len());
            }
        }
        let mut text = String::new();
        for line in &lines {
            let cells = line.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            text += cells.join("  ").trim_end();
            text += "\n";
        }
        for note in &self.notes {
            text += &format!("note: {note}\n");
        }
        text
    }

    /// The rows and remarks as JSON, below what is said of the machine and the program.
    pub fn to_json(&self, mut about: Map<String, Value>) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| row.to_json(self.judges_speed))
            .collect();
        about.insert("rows".to_owned(), rows.into());
        about.insert("notes".to_owned(), self.notes.clone().into());
        about.insert("missed".to_owned(), self.missed().into());
        about.into()
    }
}

/// A number with about four digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
