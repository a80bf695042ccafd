//! The contexts of one engine thread: the one that turns share, and one of its own for deterministic turns, made when
//! the first of them comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::class::Class;
use super::fixed::Fixed;
use super::governor::Governor;
use super::lane::{Keeping, Lane, Setup, Shape};
use super::maker::Maker;
use super::pace::Pace;
use super::placement::Placement;
use super::shield::attempt;
use super::stats::{CellUse, Totals};
use super::work::Work;
use crate::error::Error;
use crate::llama::{Context, ThreadCounts};
use crate::memory::Level;

/// All lanes of an engine thread.
pub(super) struct Lanes {
    shared: Lane,
    own: Option<Lane>,
    maker: Maker,
    chunk: usize,
    target_gap: Duration,
    capacity: usize,
    threads: ThreadCounts,
    placement: Placement,
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
    pub(super) maker: Maker,
    /// Prompt tokens that a deterministic turn evaluates in one call.
    pub(super) chunk: usize,
    pub(super) parallel: usize,
    pub(super) capacity: usize,
    pub(super) keeping: Keeping,
    pub(super) threads: ThreadCounts,
    pub(super) placement: Placement,
    pub(super) target_gap: Duration,
    pub(super) fair: bool,
    pub(super) totals: Arc<Totals>,
}

/// A lane that is asked for.
pub(super) enum Opened<'a> {
    Ready(&'a mut Lane),
    /// It is being made.
    Later,
    /// It could not be made; the next one who asks begins that again.
    Failed(Error),
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
                placement: make.placement,
                shape: Shape::Paced(pace, governor),
                fair: make.fair,
                keeping: make.keeping.clone(),
                totals: make.totals.clone(),
            }),
            own: None,
            maker: make.maker,
            chunk: make.chunk,
            target_gap: make.target_gap,
            capacity: make.capacity,
            threads,
            placement: make.placement,
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

    /// The lane; asking begins to make it where it is not there. Does not wait.
    pub(super) fn open(&mut self, which: Which) -> Opened<'_> {
        if which == Which::Shared {
            return Opened::Ready(&mut self.shared);
        }
        if self.own.is_none() {
            self.own = match self.maker.ask() {
                Ok(None) => return Opened::Later,
                Ok(Some(context)) => Some(self.own_lane(context)),
                Err(error) => {
                    let text = format!("no context for deterministic turns: {error}");
                    return Opened::Failed(Error::Engine(text));
                }
            };
        }
        match &mut self.own {
            Some(lane) => Opened::Ready(lane),
            None => Opened::Later,
        }
    }

    fn own_lane(&self, context: Context) -> Lane {
        let chunk = self.chunk.min(context.n_ubatch() as usize);
        Lane::new(Setup {
            context,
            parallel: 1,
            capacity: self.capacity,
            threads: self.threads,
            placement: self.placement,
            shape: Shape::Fixed(Fixed::new(chunk)),
            fair: false,
            keeping: self.keeping.clone(),
            totals: self.totals.clone(),
        })
    }

    /// Time that deterministic turns take between two steps of the others. As long as it was not measured, it may be
    /// all that there is.
    pub(super) fn beside_shared(&self) -> Duration {
        let next = |lane: &Lane| lane.next_step().unwrap_or(self.target_gap);
        self.own.as_ref().map_or(Duration::ZERO, next)
    }

    /// Whether nothing runs, and a context is being made for what waits.
    pub(super) fn only_waits(&self) -> bool {
        self.len() == 0 && self.maker.is_busy()
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

    /// Lets go of each part by itself, so that a panic of one does not meet another.
    pub(super) fn dismantle(self) {
        let Lanes {
            shared, own, maker, ..
        } = self;
        attempt("the end of a context", || drop(own));
        attempt("the end of a context", || drop(shared));
        attempt("the end of a context's thread", || drop(maker));
    }
}
