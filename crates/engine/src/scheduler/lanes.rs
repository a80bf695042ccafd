//! The contexts of one engine thread: the one that turns share, and one of its own for deterministic turns, made when
//! the first of them comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::class::Class;
use super::governor::Governor;
use super::lane::{Keeping, Lane, Setup, Shape};
use super::pace::Pace;
use super::stats::{CellUse, Totals};
use super::work::Work;
use crate::error::{Error, Result};
use crate::llama::{Context, ThreadCounts};
use crate::memory::Level;

/// Makes another context of the model for one sequence at a time. Engine thread.
pub type Spare = Box<dyn Fn() -> Result<Context> + Send>;

/// All lanes of an engine thread.
pub(super) struct Lanes {
    shared: Lane,
    own: Option<Lane>,
    spare: Spare,
    capacity: usize,
    threads: ThreadCounts,
    on_device: bool,
    keeping: Keeping,
    totals: Arc<Totals>,
}

/// Which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Shared,
    Own,
}

/// What lanes are made of.
pub(super) struct Make {
    pub(super) context: Context,
    pub(super) spare: Spare,
    pub(super) parallel: usize,
    pub(super) capacity: usize,
    pub(super) keeping: Keeping,
    pub(super) threads: ThreadCounts,
    pub(super) on_device: bool,
    pub(super) target_gap: Duration,
    pub(super) fair: bool,
    pub(super) totals: Arc<Totals>,
}

impl Which {
    pub(super) const ALL: [Which; 2] = [Which::Shared, Which::Own];

    /// The lane that a turn runs in.
    pub(super) fn of(work: &Work) -> Which {
        match work.job.turn.deterministic {
            true => Which::Own,
            false => Which::Shared,
        }
    }
}

impl Lanes {
    pub(super) fn new(make: Make) -> Lanes {
        let pace = Pace::new(make.target_gap, make.parallel);
        let threads = make.threads;
        let governor = Governor::new(threads.decode.max(threads.batch));
        Lanes {
            shared: Lane::new(Setup {
                context: make.context,
                parallel: make.parallel,
                capacity: make.capacity,
                threads,
                on_device: make.on_device,
                shape: Shape::Paced(pace, governor),
                fair: make.fair,
                keeping: make.keeping.clone(),
                totals: make.totals.clone(),
            }),
            own: None,
            spare: make.spare,
            capacity: make.capacity,
            threads,
            on_device: make.on_device,
            keeping: make.keeping,
            totals: make.totals,
        }
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Lane> {
        std::iter::once(&mut self.shared).chain(&mut self.own)
    }

    /// The lane, unless no turn has needed it yet.
    pub(super) fn get(&mut self, which: Which) -> Option<&mut Lane> {
        match which {
            Which::Shared => Some(&mut self.shared),
            Which::Own => self.own.as_mut(),
        }
    }

    /// The lane, made if it is not there. Errors: `Load` without memory for it.
    pub(super) fn open(&mut self, which: Which) -> Result<&mut Lane> {
        if which == Which::Shared {
            return Ok(&mut self.shared);
        }
        if self.own.is_none() {
            let context = (self.spare)()
                .map_err(|e| Error::Engine(format!("no context for deterministic turns: {e}")))?;
            let piece = context.n_ubatch() as usize;
            self.own = Some(Lane::new(Setup {
                context,
                parallel: 1,
                capacity: self.capacity,
                threads: self.threads,
                on_device: self.on_device,
                shape: Shape::Fixed(piece),
                fair: false,
                keeping: self.keeping.clone(),
                totals: self.totals.clone(),
            }));
        }
        self.own
            .as_mut()
            .ok_or_else(|| Error::Internal("the lane was made".into()))
    }

    /// Whether a turn would find a slot.
    pub(super) fn has_room(&self, which: Which) -> bool {
        match which {
            Which::Shared => self.shared.has_room(),
            Which::Own => self.own.as_ref().is_none_or(Lane::has_room),
        }
    }

    /// Whether the shared lane could run more than `waiting` further turns.
    pub(super) fn could_take_more(&self, waiting: usize) -> bool {
        self.shared.free() > waiting
    }

    /// Classes of the running turns.
    pub(super) fn classes(&self) -> impl Iterator<Item = Class> {
        let lanes = std::iter::once(&self.shared).chain(&self.own);
        lanes.flat_map(Lane::classes)
    }

    /// Running turns.
    pub(super) fn len(&self) -> usize {
        self.shared.len() + self.own.as_ref().map_or(0, Lane::len)
    }

    /// Puts all compute threads to sleep until the next step.
    pub(super) fn rest(&mut self) {
        self.all().for_each(Lane::rest);
    }

    /// The cells of the shared lane.
    pub(super) fn cells(&self) -> CellUse {
        self.shared.cells()
    }

    /// Bytes of the context that deterministic turns have for themselves.
    pub(super) fn spare_bytes(&self) -> u64 {
        self.own.as_ref().map_or(0, Lane::bytes)
    }

    /// Whether idle cells are still to go.
    pub(super) fn is_thinning(&self) -> bool {
        self.shared.is_thinning() || self.own.as_ref().is_some_and(Lane::is_thinning)
    }

    /// Gives up idle cells under memory pressure.
    pub(super) fn relieve(&mut self, level: Level, now: Instant) {
        self.all().for_each(|lane| lane.relieve(level, now));
        if level >= Level::Trim && self.own.as_ref().is_some_and(|lane| lane.len() == 0) {
            // The next deterministic turn makes it again.
            self.own = None;
        }
    }
}
