//! A strict reader of Prometheus' text format (0.0.4): whatever it does not expect is a failed test.

use std::collections::BTreeMap;

/// A name with everything below it.
pub struct Family {
    pub name: String,
    pub kind: String,
    samples: Vec<Sample>,
}

/// One line with a value.
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// A page that keeps to the format.
pub struct Page(Vec<Family>);

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The labels without the bound of a bucket.
    fn others(&self) -> Vec<(String, String)> {
        let others = self.labels.iter().filter(|(name, _)| name != "le");
        others.cloned().collect()
    }
}

impl Page {
    /// Reads a page and checks every rule of it.
    pub fn parse(text: &str) -> Page {
        assert!(text.ends_with('\n'), "the last line is ended");
        let mut families: Vec<Family> = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let head = line.strip_prefix("# HELP ").expect(line);
            let (name, help) = head.split_once(' ').expect(line);
            assert!(is_name(name) && name.starts_with("wasi_nn_"), "{line}");
            assert!(
                help.ends_with('.') && unescaped(help, false).is_some(),
                "{line}"
            );
            assert!(families.iter().all(|f| f.name != name), "{name} twice");
            let kind = lines.next().unwrap();
            let kind = kind.strip_prefix(&format!("# TYPE {name} ")).expect(kind);
            let mut family = Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                family.samples.push(sample(line));
            }
            family.check();
            families.push(family);
        }
        Page(families)
    }

    /// All names.
    pub fn families(&self) -> &[Family] {
        &self.0
    }

    /// The samples of a name.
    pub fn samples(&self, name: &str) -> Vec<&Sample> {
        let all = self.0.iter().flat_map(|family| &family.samples);
        all.filter(|sample| sample.name == name).collect()
    }

    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |sample: &&&Sample| {
            sample.labels.len() == labels.len()
                && labels.iter().all(|(l, v)| sample.label(l) == Some(v))
        };
        let samples = self.samples(name);
        samples.iter().find(is_it).map(|sample| sample.value)
    }
}

impl Family {
    fn check(&self) {
        let mut seen = Vec::new();
        for sample in &self.samples {
            let id = format!("{}{:?}", sample.name, sample.labels);
            assert!(!seen.contains(&id), "{id} twice");
            seen.push(id);
            assert!(sample.value >= 0.0, "{} is {}", sample.name, sample.value);
        }
        match self.kind.as_str() {
            "counter" => {
                assert!(self.name.ends_with("_total"), "{}", self.name);
                self.check_plain();
            }
            "gauge" => {
                assert!(!self.name.ends_with("_total"), "{}", self.name);
                self.check_plain();
            }
            "histogram" => self.check_histogram(),
            kind => panic!("{}: kind {kind}", self.name),
        }
    }

    fn check_plain(&self) {
        assert!(
            self.samples.iter().all(|s| s.name == self.name),
            "{}",
            self.name
        );
    }

    /// For each set of labels: buckets in rising order that never fall, the last one of everything, a sum and a count.
    fn check_histogram(&self) {
        assert!(self.name.ends_with("_seconds"), "{}", self.name);
        let mut series: BTreeMap<Vec<(String, String)>, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            series.entry(sample.others()).or_default().push(sample);
        }
        assert!(!series.is_empty(), "{}", self.name);
        for samples in series.values() {
            let [buckets @ .., sum, count] = samples.as_slice() else {
                panic!("{} has no sum and count", self.name);
            };
            assert_eq!(sum.name, format!("{}_sum", self.name));
            assert_eq!(count.name, format!("{}_count", self.name));
            let bounds: Vec<f64> = buckets
                .iter()
                .map(|b| number(b.label("le").unwrap()))
                .collect();
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
            assert!(buckets.is_sorted_by_key(|b| b.value), "{}", self.name);
            assert!(
                buckets
                    .iter()
                    .all(|b| b.name == format!("{}_bucket", self.name))
            );
            assert_eq!(bounds.last(), Some(&f64::INFINITY));
            assert_eq!(buckets.last().unwrap().value, count.value);
            assert!(count.value > 0.0 || sum.value == 0.0);
        }
    }
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect(line);
    let name = &line[..end];
    assert!(is_name(name), "{line}");
    let mut rest = &line[end..];
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let end = end_of_value(after).expect(line);
            labels.push((
                label.to_owned(),
                unescaped(&after[..end], true).expect(line),
            ));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break rest = rest.strip_prefix('}').expect(line),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    Sample {
        name: name.to_owned(),
        labels,
        value: number(value),
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Where the quote is that ends a value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, char)| {
        let is_end = char == '"' && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

fn unescaped(text: &str, is_quoted: bool) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        out.push(match char {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if is_quoted => '"',
                _ => return None,
            },
            char => char,
        });
    }
    Some(out)
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => {
            let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
            assert!(plain, "{text:?} is no number");
            text.parse().unwrap()
        }
    }
}
