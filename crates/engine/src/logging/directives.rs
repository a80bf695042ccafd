//! Directives in the syntax of env_logger, `memory=debug,warn/pressure`, as thresholds of our categories.
//!
//! Their text comes from the environment, which belongs to the whole process: names that are not ours mean nothing.

use std::sync::Arc;

use env_filter::{Builder, Filter};
use log::{Level, LevelFilter, Metadata, Record};

use super::category;

/// Names that stand for all categories, or before one: `wasi_nn=debug`, `wasi_nn::memory=debug`.
const OWN: [&str; 2] = ["wasi_nn_backend", "wasi_nn"];

/// Which lines are written, as a text of directives says.
#[derive(Debug, Clone)]
pub struct Directives {
    thresholds: [LevelFilter; category::NAMES.len()],
    /// What messages must match.
    pattern: Option<Arc<Filter>>,
}

impl Directives {
    /// Reads `text`. A directive that does not parse is left out, and a sentence says why. None, if nothing is left.
    pub fn parse(text: &str) -> (Option<Directives>, Vec<String>) {
        let mut problems = Vec::new();
        let (list, pattern) = match text.split_once('/') {
            Some((list, pattern)) => (list, Some(pattern)),
            None => (text, None),
        };
        let mut directives = Vec::new();
        for written in list.split(',').map(str::trim).filter(|d| !d.is_empty()) {
            let directive = Directive::of(written);
            match filter(&directive.text) {
                Ok(_) => directives.push(directive),
                Err(why) => problems.push(ignored(written, &why)),
            }
        }
        if directives.iter().any(|d| d.is_for_all_of_ours) {
            // What names this library is more specific than what names nothing, as between two targets.
            directives.retain(|d| d.is_for_all_of_ours || d.text.parse::<LevelFilter>().is_err());
        }
        let pattern = pattern.filter(|p| !p.is_empty()).and_then(|pattern| {
            let filter = filter(&format!("trace/{pattern}"));
            filter
                .map_err(|why| problems.push(ignored(pattern, &why)))
                .ok()
        });
        if directives.is_empty() && pattern.is_none() {
            return (None, problems);
        }
        let joined: Vec<&str> = directives.iter().map(|d| d.text.as_str()).collect();
        let found = filter(&joined.join(",")).map(|filter| Directives {
            thresholds: category::NAMES.map(|name| threshold(&filter, name)),
            pattern: pattern.map(Arc::new),
        });
        // Each of them has been read alone.
        (found.ok(), problems)
    }

    /// The most talkative level of each category, in the order of their names.
    pub fn thresholds(&self) -> [LevelFilter; category::NAMES.len()] {
        self.thresholds
    }

    /// Whether the message of a record is one of those that are wanted.
    pub fn matches(&self, record: &Record<'_>) -> bool {
        self.pattern.as_ref().is_none_or(|p| p.matches(record))
    }
}

/// One directive in the names of our targets.
struct Directive {
    text: String,
    is_for_all_of_ours: bool,
}

impl Directive {
    fn of(written: &str) -> Directive {
        let rest = OWN.iter().find_map(|own| {
            let rest = written.strip_prefix(own)?;
            // `wasi_nnx` is another name.
            (rest.is_empty() || rest.starts_with("::") || rest.starts_with('=')).then_some(rest)
        });
        let is_for_all_of_ours = rest.is_some_and(|rest| !rest.starts_with("::"));
        let text = match rest {
            None => written.to_owned(),
            Some(rest) => match rest.trim_start_matches([':', '=']).trim() {
                "" => LevelFilter::Trace.to_string(),
                rest if is_for_all_of_ours => match rest.parse::<LevelFilter>() {
                    Ok(level) => level.to_string(),
                    // Read as it stands, it is refused with the reason.
                    Err(_) => written.to_owned(),
                },
                rest => rest.to_owned(),
            },
        };
        Directive {
            text,
            is_for_all_of_ours,
        }
    }
}

fn filter(text: &str) -> Result<Filter, env_filter::ParseError> {
    let mut builder = Builder::new();
    builder.try_parse(text)?;
    Ok(builder.build())
}

fn threshold(filter: &Filter, category: &str) -> LevelFilter {
    let is_written = |level: &Level| {
        let line = Metadata::builder().level(*level).target(category).build();
        filter.enabled(&line)
    };
    let talkative = Level::iter().filter(is_written).max();
    talkative.map_or(LevelFilter::Off, |level| level.to_level_filter())
}

fn ignored(directive: &str, why: &env_filter::ParseError) -> String {
    format!("the log directive {directive:?} is ignored: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Category and threshold where the two given differ from the rest, as in `memory=DEBUG,*=WARN`.
    fn shown(text: &str) -> (String, usize) {
        let (directives, problems) = Directives::parse(text);
        let Some(directives) = directives else {
            return ("nothing".into(), problems.len());
        };
        let thresholds = directives.thresholds();
        let rest = thresholds[category::index("events")];
        let mut shown: Vec<String> = category::NAMES
            .iter()
            .zip(thresholds)
            .filter(|(_, level)| *level != rest)
            .map(|(name, level)| format!("{name}={level}"))
            .collect();
        shown.push(format!("*={rest}"));
        (shown.join(","), problems.len())
    }

    #[test]
    fn directives_are_read_as_env_logger_does() {
        let check = |text: &str, expect: &str, problems: usize| {
            assert_eq!(shown(text), (expect.to_owned(), problems), "{text}");
        };
        check("debug", "*=DEBUG", 0);
        check("WARN", "*=WARN", 0);
        check("off", "*=OFF", 0);
        check("memory=debug", "memory=DEBUG,*=OFF", 0);
        check(
            "warn,memory=debug,queue=trace",
            "queue=TRACE,memory=DEBUG,*=WARN",
            0,
        );
        check("memory", "memory=TRACE,*=OFF", 0);
        check(" info , session=off ,", "session=OFF,*=INFO", 0);
        check("", "nothing", 0);
        check(" , ,", "nothing", 0);
        check("someone_else=trace", "*=OFF", 0);
    }

    #[test]
    fn the_name_of_the_library_stands_for_all_its_categories() {
        let check = |text: &str, expect: &str| {
            assert_eq!(shown(text), (expect.to_owned(), 0), "{text}");
        };
        check("wasi_nn_backend=debug", "*=DEBUG");
        check("wasi_nn=info", "*=INFO");
        check("wasi_nn", "*=TRACE");
        check("wasi_nn=", "*=TRACE");
        check("wasi_nn=debug,warn", "*=DEBUG");
        check(
            "error,wasi_nn::memory=debug,wasi_nn_backend=info",
            "memory=DEBUG,*=INFO",
        );
        check("wasi_nnx=debug", "*=OFF");
    }

    #[test]
    fn what_does_not_parse_is_named_and_the_rest_holds() {
        let check = |text: &str, expect: &str, problems: usize| {
            assert_eq!(shown(text), (expect.to_owned(), problems), "{text}");
        };
        check("memory=loud", "nothing", 1);
        check("memory=loud,warn,a=b=c", "*=WARN", 2);
        check("wasi_nn=loud", "nothing", 1);
        check("info/(", "*=INFO", 1);
        check("info/a/b", "*=INFO", 1);
        let (_, problems) = Directives::parse("memory=loud");
        assert!(problems[0].contains("\"memory=loud\""), "{problems:?}");
    }

    #[test]
    fn a_pattern_selects_messages() {
        let (directives, problems) = Directives::parse("info/gives? way");
        assert_eq!(problems, [""; 0]);
        let directives = directives.unwrap();
        let matches = |message: &str| {
            directives.matches(
                &Record::builder()
                    .level(Level::Info)
                    .args(format_args!("{message}"))
                    .build(),
            )
        };
        assert!(matches("it gives way"));
        assert!(!matches("it stays"));
    }
}
