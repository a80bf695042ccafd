//! The figures that Prometheus is given: one row for each name. How they are written stands in `exposition`.
//!
//! A name, its labels and what it counts never change; rows are added only.

mod memory;
mod models;
mod sessions;
mod turns;

use super::exposition::{Head, Kind, Samples};
use super::{Memory, Model, Performance, Queue, Sessions};
use crate::scheduler::Totals;

/// What the rows read: documents of one moment, and the times behind them.
pub struct Figures<'a> {
    /// Counts and times of the backend.
    pub totals: &'a Totals,
    /// The QUEUE document.
    pub queue: Queue,
    /// The MEMORY document.
    pub memory: Memory,
    /// The SESSIONS document; its list may be empty.
    pub sessions: Sessions,
    /// The PERFORMANCE document.
    pub performance: Performance,
    /// The MODEL document.
    pub model: Model<'a>,
}

/// A name with what it is read from.
pub struct Family {
    /// Name, kind, labels and help.
    pub head: Head,
    read: fn(&Figures<'_>, &mut Samples<'_>),
}

impl Family {
    const fn new(
        kind: Kind,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: fn(&Figures<'_>, &mut Samples<'_>),
    ) -> Family {
        let head = Head {
            name,
            kind,
            labels,
            help,
        };
        Family { head, read }
    }
}

/// The rows, in the order of the page.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [models::ROWS, turns::ROWS, memory::ROWS, sessions::ROWS]
        .into_iter()
        .flatten()
}

/// All rows as text.
pub fn text(figures: &Figures<'_>) -> String {
    let mut page = String::with_capacity(16 << 10);
    for family in families() {
        (family.read)(figures, &mut Samples::begin(&mut page, &family.head));
    }
    page
}
