//! The loop of one engine thread: take in, drop what is over, admit, give way, evaluate a step, answer.
//!
//! Panics of a round end here. A round after one begins with what `recover` left; where that does not work, `life` begins
//! with another loop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::cores::Member;
use super::desk::{Desk, over};
use super::failpoint::{self, Point};
use super::intake::{Intake, Phase, Wait};
use super::job::{Job, SessionKey};
use super::lane::{Around, Ended, Lane, Refusal};
use super::lanes::{Lanes, Opened, Which};
use super::queue::{Now, Rotation};
use super::shield::{attempt, shielded};
use super::watch::Watch;
use super::work::Work;
use crate::error::Error;
use crate::llama::Vocab;
use crate::memory::Level;
use crate::stopping::Verdict;

/// Between two looks at files that are read, where there is nothing else to do.
const FILE_LOOK: Duration = Duration::from_millis(2);

/// What callers tell the engine thread.
pub(super) enum Command {
    Submit(Box<Job>),
    /// The conversation is gone: its idle tokens leave the cache.
    Forget(SessionKey),
    /// Memory is short: idle cells are given up.
    Relieve(Level),
    /// Another version has taken over: turns that may begin anew there are handed back.
    Retire {
        requeue: bool,
    },
    /// It has waited long enough for the others.
    Cut,
    /// A context has been made, or not: there is something to look at.
    Look,
}

/// How often a wait for a context checks whether the request still wants it.
const LOOK: Duration = Duration::from_millis(20);

/// How a loop came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to stop, or nobody is left.
    Over,
    /// A panic left something behind that cannot be repaired; its text.
    Broken(String),
}

/// Everything that an engine thread owns.
pub(super) struct Loop {
    pub(super) intake: Arc<Intake<Command>>,
    pub(super) desk: Desk,
    pub(super) lanes: Lanes,
    pub(super) vocab: Vocab,
    /// This model's part in the backend's cores.
    pub(super) cores: Member,
    pub(super) watch: Watch,
    /// Cuts a running step short.
    pub(super) halt: Arc<AtomicBool>,
    /// How long the first job of a batch waits for others.
    pub(super) gather: Duration,
    pub(super) step: u64,
    /// It is to hand turns back once the free slots are given, and whether running ones are among them.
    pub(super) retires: Option<bool>,
    /// Turns that left their slots and are not answered yet.
    pub(super) ended: Vec<Ended>,
    /// Running turns that the totals of all models have of this one.
    pub(super) shown: u64,
    /// No waiting request could be admitted in the last round, and none was running.
    pub(super) is_stalled: bool,
    /// Rounds that ended as they should.
    pub(super) rounds: u64,
}

impl Loop {
    /// Runs until told to stop, until all callers have left and every accepted job is answered, or until it is beyond
    /// repair: after two rounds in a row that panic, since whatever the first one was about is still there, or if what the
    /// first one left behind cannot be put in order.
    pub(super) fn run(&mut self) -> End {
        let mut has_recovered = false;
        loop {
            let round = shielded(|| self.round());
            if self.cores.is_broken() {
                return End::Broken("cores were not given back".to_owned());
            }
            match round {
                Ok(false) => return End::Over,
                Ok(true) => {
                    has_recovered = false;
                    self.rounds += 1;
                }
                Err(panic) if has_recovered => return End::Broken(panic),
                Err(panic) => {
                    has_recovered = true;
                    if let Err(another) = shielded(|| self.recover(&panic)) {
                        return End::Broken(format!("{panic}, then {another}"));
                    }
                }
            }
        }
    }

    /// One time around. False: the thread ends.
    fn round(&mut self) -> bool {
        if !self.take_in() {
            return false;
        }
        failpoint::hit(Point::TakeIn);
        self.step += 1;
        let now = Now {
            step: self.step,
            time: Instant::now(),
        };
        self.desk.stats.pulse.begin(now.time);
        self.step(now);
        self.publish(now);
        true
    }

    fn step(&mut self, now: Now) {
        self.watch.begin(now.time);
        self.desk.sweep(now);
        for lane in self.lanes.all() {
            lane.end(
                now.time,
                |work| over(work, now.time).map(Err),
                &mut self.ended,
            );
        }
        self.answer();
        for lane in self.lanes.all() {
            lane.go_on_thinning(now.time);
        }
        self.secure(now);
        let blocked = self.admit(now);
        if let Some(requeue) = self.retires {
            self.retire(requeue);
            self.retires = None;
        }
        self.give_way(now, &blocked);
        self.secure(now);
        self.is_stalled = self.lanes.len() == 0;
        let classes = self.desk.queue.classes(self.lanes.classes());
        let beside = self.lanes.beside_shared();
        for lane in self.lanes.all() {
            let queue = &mut self.desk.queue;
            let around = Around {
                vocab: &self.vocab,
                halt: &self.halt,
                cores: &self.cores,
                classes,
                beside,
                charge: &mut |client, cost| queue.charge(client, cost),
                watch: &mut self.watch,
            };
            lane.step(around, &mut self.ended);
        }
        self.answer();
    }

    /// Answers the turns that left their slots. Who wakes finds the gauges without them.
    fn answer(&mut self) {
        self.publish_running();
        while let Some(ended) = self.ended.pop() {
            self.desk.answer(ended);
        }
    }

    /// Takes commands in; blocks while there is nothing to do. False: the thread ends.
    fn take_in(&mut self) -> bool {
        let is_idle = self.is_idle();
        let only_waits = self.is_stalled && self.lanes.only_waits();
        if is_idle || only_waits {
            self.lanes.rest();
            self.cores.rest();
            self.desk.stats.pulse.rest();
        }
        let wait = match only_waits {
            _ if is_idle => Wait::Forever,
            true => Wait::Until(Instant::now() + LOOK),
            // Nothing runs, and all that waits waits for a disk: deadlines and cancels are looked at meanwhile.
            false if self.is_fetching() => Wait::Until(Instant::now() + FILE_LOOK),
            false => Wait::No,
        };
        let mut phase = self.take(wait);
        let end = Instant::now() + self.gather;
        while is_idle
            && phase == Phase::Open
            && Instant::now() < end
            && self.lanes.could_take_more(self.desk.queue.len())
        {
            phase = self.take(Wait::Until(end));
        }
        match phase {
            Phase::Open => true,
            Phase::Left => {
                if self.is_fetching() {
                    // Commands are not waited for any more.
                    std::thread::sleep(FILE_LOOK);
                }
                !self.is_idle()
            }
            Phase::Stopping | Phase::Closed => false,
        }
    }

    fn take(&mut self, wait: Wait) -> Phase {
        let (commands, phase) = self.intake.take(wait);
        for command in commands {
            match command {
                Command::Submit(job) => self.desk.enqueue(*job, self.step),
                Command::Forget(session) => self.forget(session),
                Command::Relieve(level) => self.lanes.relieve(level, Instant::now()),
                Command::Retire { requeue } => self.retires = Some(requeue),
                Command::Cut => {
                    let moves = |work: &Work| !work.has_told();
                    self.hand_back(moves, moves);
                    self.end_all(Verdict::Replaced);
                }
                Command::Look => {}
            }
        }
        phase
    }

    pub(super) fn forget(&mut self, session: SessionKey) {
        self.lanes.all().for_each(|lane| lane.forget(session));
    }

    /// Whether nothing runs and all that waits waits for files.
    fn is_fetching(&self) -> bool {
        let mut is_fetching = self.lanes.len() == 0 && !self.lanes.is_thinning();
        self.desk
            .queue
            .each(|work| is_fetching &= work.is_fetching());
        is_fetching
    }

    fn is_idle(&self) -> bool {
        self.lanes.len() == 0 && self.desk.queue.is_empty() && !self.lanes.is_thinning()
    }

    /// Sees to it that whoever runs has cells for what is next; who gives them up waits again, in its place.
    fn secure(&mut self, now: Now) {
        let Loop { desk, lanes, .. } = self;
        for (work, standing) in lanes.all().flat_map(|lane| lane.secure(now.time)) {
            desk.queue.put_back(work, standing, now);
        }
    }

    /// Gives slots and cells to waiting jobs while there are any. Returns the lanes whose next job waits, and what for.
    fn admit(&mut self, now: Now) -> Vec<(Which, Refusal)> {
        let mut blocked: Vec<(Which, Refusal)> = Vec::new();
        loop {
            let Loop { desk, lanes, .. } = self;
            let is_blocked = |which| blocked.iter().any(|b| b.0 == which);
            let is_open = |which| lanes.has_room(which) && !is_blocked(which);
            let Some(choice) = desk
                .queue
                .next(now, |work| is_open(Which::of(work)) && !work.is_fetching())
            else {
                return blocked;
            };
            let Some(work) = desk.queue.job(&choice) else {
                return blocked;
            };
            let which = Which::of(work);
            let ended = match lanes.open(which) {
                Opened::Later => {
                    blocked.push((which, Refusal::Later));
                    continue;
                }
                Opened::Failed(error) => desk.take(choice, now).map(|(work, standing)| Ended {
                    work,
                    standing,
                    how: Err(error),
                }),
                Opened::Ready(lane) => {
                    let is_overdue = choice.is_overdue();
                    let seat = match lane.reserve(work, false, now.time) {
                        Ok(seat) => seat.for_age(is_overdue),
                        // It is passed over until its file is read.
                        Err(Refusal::Fetching) => continue,
                        Err(refusal) => {
                            blocked.push((which, refusal));
                            continue;
                        }
                    };
                    desk.take(choice, now).and_then(|(work, standing)| {
                        failpoint::hit(Point::Admit);
                        seat.enter(work, standing, now.time).err()
                    })
                }
            };
            self.ended.extend(ended);
            self.answer();
        }
    }

    /// Takes slots away where a waiting job must not wait longer: in lanes without a free slot, and in those whose next
    /// job lacks cells.
    fn give_way(&mut self, now: Now, blocked: &[(Which, Refusal)]) {
        for which in Which::ALL {
            let Some(lane) = self.lanes.get(which) else {
                continue;
            };
            if lane.free() > 0 && !blocked.contains(&(which, Refusal::Cells)) {
                continue;
            }
            let queue = &self.desk.queue;
            let running = lane.running();
            let rotation = queue.rotate(now, &running, |work| {
                Which::of(work) == which && !work.is_fetching()
            });
            drop(running);
            if let Some(rotation) = rotation {
                self.rotate(which, rotation, now);
            }
        }
    }

    /// One running job gives its slot to a waiting one; for an overdue one more of them give their cells.
    fn rotate(&mut self, which: Which, rotation: Rotation, now: Now) {
        let Loop { desk, lanes, .. } = self;
        let Some(lane) = lanes.get(which) else { return };
        let Some(work) = desk.queue.job(&rotation.choice) else {
            return;
        };
        if !lane.could_take(work) {
            return;
        }
        let Some(victims) = lane.victims(work, &rotation) else {
            return;
        };
        let parked: Vec<_> = victims
            .into_iter()
            .map(|v| lane.park(v, now.time))
            .collect();
        let is_overdue = rotation.choice.is_overdue();
        if let Ok(seat) = lane.reserve(work, true, now.time)
            && let Some((work, standing)) = desk.take(rotation.choice, now)
            && let Err(ended) = seat.for_age(is_overdue).enter(work, standing, now.time)
        {
            desk.answer(ended);
        }
        for (work, standing) in parked {
            desk.queue.put_back(work, standing, now);
        }
    }

    /// Answers waiting and running turns so that they begin again on another version.
    fn hand_back(&mut self, waiting: impl Fn(&Work) -> bool, running: impl Fn(&Work) -> bool) {
        let moved = self.desk.queue.remove(|work| waiting(work));
        // Who wakes finds them waiting nowhere.
        self.desk.publish_waiting();
        for work in moved {
            self.desk.stats.totals.moved.count();
            work.fail(Error::Replaced);
        }
        let end = |work: &Work| running(work).then_some(Err(Error::Replaced));
        for lane in self.lanes.all() {
            lane.end(Instant::now(), end, &mut self.ended);
        }
        self.answer();
    }

    /// Hands back what starts again on the next version. A request in a slot stays; free slots were filled before: as many as
    /// wait then have a place to wait, and not those beside them.
    fn retire(&mut self, requeue: bool) {
        let moves = |work: &Work| requeue && !work.has_told();
        self.hand_back(|work| !work.has_begun() || moves(work), moves);
        self.step_aside();
    }

    /// The turns that stay leave their places in the model's queue to those of the next version.
    fn step_aside(&mut self) {
        let mut aside = |work: &Work| {
            if let Some(place) = &work.job.place {
                place.step_aside();
            }
        };
        self.desk.queue.each(|work| aside(work));
        for lane in self.lanes.all() {
            lane.each(&mut aside);
        }
    }

    /// Answers all turns with the text that they have.
    fn end_all(&mut self, verdict: Verdict) {
        for work in self.desk.queue.remove(|_| true) {
            self.desk.finish(work, verdict.clone());
        }
        for lane in self.lanes.all() {
            lane.end(
                Instant::now(),
                |_| Some(Ok(verdict.clone())),
                &mut self.ended,
            );
        }
        self.answer();
    }

    /// Fails the running turns, whose step a panic ended, and clears what they hold.
    fn recover(&mut self, panic: &str) {
        failpoint::hit(Point::Recover);
        let error = Error::Internal(format!("a step panicked: {panic}"));
        for lane in self.lanes.all() {
            lane.fail(&error, &mut self.ended);
        }
        self.answer();
        // The panic may have taken some with it.
        self.desk.queue.all_done();
    }

    /// Answers every turn that is in the loop, and counts nothing but that. For a loop that is not used any more:
    /// whatever a panic left of its books is not looked at.
    pub(super) fn answer_all(&mut self, error: &Error) {
        let mut all: Vec<Box<Work>> = self.ended.drain(..).map(|ended| ended.work).collect();
        all.extend(self.lanes.all().flat_map(Lane::abandon));
        all.extend(self.desk.queue.drain());
        let totals = &self.desk.stats.totals;
        for work in all {
            // Who is not answered by this is answered by the end of its writer.
            attempt("an answer", || {
                failpoint::hit(Point::AnswerAll);
                match error {
                    Error::Cancelled => totals.cancelled.count(),
                    _ => totals.failed.count(),
                }
                work.fail(error.clone());
            });
        }
    }

    pub(super) fn publish_running(&mut self) {
        let running = self.lanes.len() as u64;
        self.desk.stats.running.set(running);
        self.desk.stats.totals.running.shift(self.shown, running);
        self.shown = running;
    }

    pub(super) fn publish(&mut self, now: Now) {
        self.desk.publish(now);
        self.publish_running();
        let stats = &self.desk.stats;
        let cells = self.lanes.cells();
        stats.used_tokens.set(cells.used as u64);
        stats.idle_tokens.set(cells.idle as u64);
        stats.idle_sequences.set(cells.idle_sequences as u64);
        stats.prefix_tokens.set(cells.prefixes as u64);
        stats.spare_bytes.set(self.lanes.spare_bytes());
    }
}
