//! The life of an engine thread: one loop after another over the same weights, as long as somebody may bring turns.
//!
//! A loop that a panic has left beyond repair answers everybody and goes with its contexts; another one begins with
//! fresh ones. Whatever happens, every accepted job is answered once, and the way in is closed at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::cores::{Cores, Member};
use super::desk::Desk;
use super::engine::Spawn;
use super::failpoint::{self, Point};
use super::intake::Intake;
use super::job::SessionKey;
use super::lane::Keeping;
use super::lanes::{Lanes, Make};
use super::maker::{Maker, Spare};
use super::placement::Placement;
use super::queue::{Limits, Now, Queue};
use super::run::{Command, End, Loop};
use super::shield::{attempt, shielded};
use super::stats::Stats;
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::llama::{Context, ThreadCounts, Vocab};

/// Loops in a row that may break without a round that ends as it should: then it is not the turns that break them.
const MOST_IN_A_ROW: u32 = 5;

/// What loops are made of, and what outlives them.
pub(super) struct Life {
    pub(super) intake: Arc<Intake<Command>>,
    pub(super) stats: Arc<Stats>,
    /// Cuts a running step short.
    pub(super) halt: Arc<AtomicBool>,
    pub(super) vocab: Vocab,
    pub(super) cores: Arc<Cores>,
    /// Makes the shared context again.
    pub(super) again: Spare,
    /// Makes the one of deterministic turns.
    pub(super) spare: Spare,
    pub(super) spawn: Spawn,
    pub(super) chunk: usize,
    pub(super) parallel: usize,
    pub(super) capacity: usize,
    pub(super) keeping: Keeping,
    pub(super) limits: Limits,
    pub(super) threads: ThreadCounts,
    pub(super) placement: Placement,
    pub(super) target_gap: Duration,
    pub(super) slow_step: Duration,
    pub(super) gather: Duration,
}

impl Life {
    /// Runs loops, the first of them with `context`, until one is told to end.
    pub(super) fn run(self, context: Context) {
        let mut first = Some(context);
        let mut broken_in_a_row = 0;
        while broken_in_a_row < MOST_IN_A_ROW {
            self.stats.pulse.begin(Instant::now());
            let begun = shielded(|| self.begin(first.take()));
            let mut engine = match begun.unwrap_or_else(|panic| Err(Error::Internal(panic))) {
                Ok(engine) => engine,
                Err(error) => {
                    log::error!(target: "engine", "the model does not begin: {error}");
                    broken_in_a_row += 1;
                    continue;
                }
            };
            let end = shielded(|| engine.run()).unwrap_or_else(End::Broken);
            let End::Broken(panic) = end else {
                self.wind_up(engine);
                return;
            };
            log::error!(target: "engine", "the model begins again after a panic: {panic}");
            self.stats.restarts.count();
            broken_in_a_row = match engine.rounds {
                0 => broken_in_a_row + 1,
                _ => 1,
            };
            let error = Error::Internal(format!("the engine thread began again: {panic}"));
            attempt("the answer to all", || engine.answer_all(&error));
            dismantle(engine);
        }
        log::error!(target: "engine", "the model does not serve any more");
        self.stats.has_failed.set(1);
        self.stats.pulse.rest();
        let forgotten = self.close(&Error::Internal("the engine thread ended".into()));
        attempt("forgetting", || {
            let store = &self.keeping.store;
            forgotten.iter().for_each(|session| store.forget(session.0));
        });
    }

    /// A loop with fresh contexts. Errors: `Load` without memory for them.
    fn begin(&self, first: Option<Context>) -> Result<Box<Loop>> {
        failpoint::hit(Point::Begin);
        let context = match first {
            Some(context) => context,
            None => (self.again)()?,
        };
        let intake = self.intake.clone();
        let wake = Arc::new(move || intake.tell(Command::Look));
        let totals = &self.stats.totals;
        Ok(Box::new(Loop {
            intake: self.intake.clone(),
            desk: Desk {
                queue: Queue::new(self.limits),
                stats: self.stats.clone(),
            },
            lanes: Lanes::new(Make {
                context,
                maker: Maker::new(self.spare.clone(), self.spawn.clone(), wake),
                chunk: self.chunk,
                parallel: self.parallel,
                capacity: self.capacity,
                keeping: self.keeping.clone(),
                threads: self.threads,
                placement: self.placement,
                target_gap: self.target_gap,
                fair: self.limits.fair,
                totals: totals.clone(),
            }),
            cores: Member::join(&self.cores),
            watch: Watch::new(self.slow_step, totals.clone()),
            vocab: self.vocab.clone(),
            halt: self.halt.clone(),
            gather: self.gather,
            step: 0,
            retires: None,
            ended: Vec::new(),
            shown: 0,
            is_stalled: false,
            rounds: 0,
        }))
    }

    /// Ends a loop that was told to: nothing is let in any more, everybody is answered, and idle cells are saved where
    /// they may be of use.
    fn wind_up(&self, mut engine: Box<Loop>) {
        attempt("the rest of the cores", || engine.cores.rest());
        let forgotten = self.close(&Error::Cancelled);
        attempt("forgetting", || {
            forgotten.iter().for_each(|&session| engine.forget(session));
        });
        attempt("the answer to all", || engine.answer_all(&Error::Cancelled));
        attempt("the gauges", || engine.publish_running());
        if !self.halt.load(Ordering::Relaxed) {
            // The model was replaced by another one: its conversations may come back to it.
            attempt("saving idle cells", || {
                failpoint::hit(Point::Dismantle);
                let now = Instant::now();
                // Turns that were answered just now left their sequences as they were.
                engine.lanes.all().for_each(|lane| lane.save_idle(now));
            });
        }
        attempt("the gauges", || {
            let now = Now {
                step: engine.step,
                time: Instant::now(),
            };
            engine.publish(now);
        });
        dismantle(engine);
    }

    /// Lets nothing in any more, and answers what is still on its way. Returns whose conversations are gone.
    fn close(&self, error: &Error) -> Vec<SessionKey> {
        let mut forgotten = Vec::new();
        for command in self.intake.close() {
            attempt("an answer", || match command {
                Command::Submit(job) => {
                    failpoint::hit(Point::AnswerAll);
                    match error {
                        Error::Cancelled => self.stats.totals.cancelled.count(),
                        _ => self.stats.totals.failed.count(),
                    }
                    job.fail(error.clone(), false);
                }
                Command::Forget(session) => forgotten.push(session),
                Command::Relieve(_) | Command::Retire { .. } | Command::Cut | Command::Look => {}
            });
        }
        forgotten
    }
}

/// Lets go of each part of a loop by itself, so that a panic of one does not meet another.
fn dismantle(mut engine: Box<Loop>) {
    attempt("the gauges", || {
        let shown = std::mem::take(&mut engine.shown);
        engine.desk.stats.running.set(0);
        engine.desk.stats.totals.running.shift(shown, 0);
    });
    let Loop {
        desk,
        lanes,
        cores,
        watch,
        ended,
        ..
    } = *engine;
    attempt("the end of the turns", || drop((ended, desk)));
    attempt("the end of the contexts", || lanes.dismantle());
    attempt("the end of the loop", || {
        failpoint::hit(Point::Dismantle);
        drop((cores, watch));
    });
}
