//! The list of sections. Each runs by itself and adds its rows to the report.

mod single;
mod streams;

mod interference;

mod fairness;
mod overload;

mod cancel;
mod contention;
mod hosts;

mod saved;
mod sessions;

mod long;
mod prefix;
mod resume;

mod churn;
mod pressure;

mod rules;
mod status;

mod models;
mod swap;

mod guests;

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::report::Report;

/// A part of the benchmark.
#[derive(Clone, Copy)]
pub struct Section {
    /// Its name on the command line.
    pub name: &'static str,
    /// Measures and adds rows.
    pub run: fn(&Bench, &mut Report) -> Result<()>,
}

const ALL: [Section; 20] = [
    Section {
        name: single::NAME,
        run: single::run,
    },
    Section {
        name: streams::NAME,
        run: streams::run,
    },
    Section {
        name: interference::NAME,
        run: interference::run,
    },
    Section {
        name: fairness::NAME,
        run: fairness::run,
    },
    Section {
        name: overload::NAME,
        run: overload::run,
    },
    Section {
        name: cancel::NAME,
        run: cancel::run,
    },
    Section {
        name: contention::NAME,
        run: contention::run,
    },
    Section {
        name: hosts::NAME,
        run: hosts::run,
    },
    Section {
        name: sessions::NAME,
        run: sessions::run,
    },
    Section {
        name: saved::NAME,
        run: saved::run,
    },
    Section {
        name: long::NAME,
        run: long::run,
    },
    Section {
        name: resume::NAME,
        run: resume::run,
    },
    Section {
        name: pressure::NAME,
        run: pressure::run,
    },
    Section {
        name: churn::NAME,
        run: churn::run,
    },
    Section {
        name: prefix::NAME,
        run: prefix::run,
    },
    Section {
        name: rules::NAME,
        run: rules::run,
    },
    Section {
        name: status::NAME,
        run: status::run,
    },
    Section {
        name: swap::NAME,
        run: swap::run,
    },
    Section {
        name: models::NAME,
        run: models::run,
    },
    Section {
        name: guests::NAME,
        run: guests::run,
    },
];

/// The sections with these names, in their own order; without names all.
pub fn chosen(names: &[String]) -> Result<Vec<Section>> {
    if let Some(name) = names.iter().find(|n| ALL.iter().all(|s| s.name != **n)) {
        return Err(Error::Setup(format!("there is no section {name:?}")));
    }
    let is_chosen = |s: &Section| names.is_empty() || names.iter().any(|n| n == s.name);
    Ok(ALL.into_iter().filter(is_chosen).collect())
}
