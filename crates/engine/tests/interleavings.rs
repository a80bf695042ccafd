//! The inbox, the queue and the answers of an engine thread under a scheduler that chooses which thread runs next.
//!
//! The files are the engine's own, with shuttle's locks and atomics as `crate::sync`. The loop below does what
//! `scheduler/run.rs` does, with jobs of a few steps. A run in which some thread waits for ever is a failure of its own.

/// What the engine takes from std.
mod sync {
    pub use shuttle::sync::atomic;
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
}

#[path = "../src/scheduler"]
#[expect(dead_code, reason = "the rest of the engine is missing")]
mod scheduler {
    pub mod answer;
    pub mod class;
    pub mod intake;
    pub mod permits;
    pub mod queue;
}

use std::time::{Duration, Instant};

use scheduler::answer::{Next, pipe};
use scheduler::class::Class;
use scheduler::intake::{Intake, Phase, Place, Refusal, Wait};
use scheduler::permits::{Pass, Permits};
use scheduler::queue::{Ask, Client, Limits, Now, Queue, Standing};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, mpsc};
use shuttle::thread::{self, JoinHandle};

/// How a job was answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Cancelled,
}

/// A job as the engine thread has it.
struct Job {
    /// Steps that it takes.
    steps: usize,
    class: Class,
    cancelled: Arc<AtomicBool>,
    place: Option<Place>,
    answer: mpsc::Sender<Answer>,
}

impl Job {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// As the engine does: the place is free before the caller hears of it.
    fn answer(mut self, answer: Answer) {
        self.place.take();
        // A caller that left does not mind.
        drop(self.answer.send(answer));
    }
}

enum Command {
    Submit(Job),
    Forget,
}

/// The caller's half of a job.
struct Ticket {
    answer: mpsc::Receiver<Answer>,
    cancelled: Arc<AtomicBool>,
}

impl Ticket {
    /// The job's only answer. Waits until the job is gone, so that a second one would be seen.
    fn only_answer(&self) -> Answer {
        let answer = self
            .answer
            .recv()
            .expect("a job that was let in is answered");
        assert!(self.answer.recv().is_err(), "answered twice");
        answer
    }
}

/// The door of the modelled engine.
#[derive(Clone)]
struct Engine {
    intake: Arc<Intake<Command>>,
    /// Told commands that the thread has seen.
    forgotten: Arc<AtomicUsize>,
}

/// The modelled thread.
struct Loop {
    engine: Engine,
    queue: Queue<Job>,
    running: Vec<(Job, Standing)>,
    slots: usize,
    began: Instant,
    step: u64,
    /// Steps after which it ends untold, as a panic outside of a step would end it.
    life: u64,
}

impl Engine {
    fn start(slots: usize) -> (Engine, JoinHandle<()>) {
        Engine::start_mortal(slots, u64::MAX)
    }

    fn start_mortal(slots: usize, life: u64) -> (Engine, JoinHandle<()>) {
        let engine = Engine {
            intake: Arc::new(Intake::new(Arc::new(Permits::new()))),
            forgotten: Arc::default(),
        };
        let state = Loop {
            engine: engine.clone(),
            queue: Queue::new(Limits {
                warn_at: 2,
                reject_at: 64,
                by_class: true,
                fair: true,
                sweep_expired: true,
            }),
            running: Vec::new(),
            slots,
            began: Instant::now(),
            step: 0,
            life,
        };
        (engine, thread::spawn(move || state.run()))
    }

    /// Hands a job in that takes `steps`.
    fn submit(&self, limit: usize, steps: usize) -> Result<Ticket, Refusal> {
        let (answer, receiver) = mpsc::channel();
        let cancelled = Arc::new(AtomicBool::new(false));
        let ticket = Ticket {
            answer: receiver,
            cancelled: cancelled.clone(),
        };
        let job = |place| {
            Command::Submit(Job {
                steps,
                class: Class::ALL[steps % Class::ALL.len()],
                cancelled,
                place: Some(place),
                answer,
            })
        };
        let pass = Pass::new();
        self.intake.submit(limit, &pass, job).map(|()| ticket)
    }
}

impl Loop {
    fn run(mut self) {
        while self.step < self.life && self.take_in() {
            self.step += 1;
            self.sweep();
            self.admit();
            self.compute();
        }
    }

    fn now(&self) -> Now {
        Now {
            step: self.step,
            time: self.began,
        }
    }

    fn take_in(&mut self) -> bool {
        let wait = if self.is_idle() {
            Wait::Forever
        } else {
            Wait::No
        };
        let (commands, phase) = self.engine.intake.take(wait);
        for command in commands {
            match command {
                Command::Submit(job) => self.enqueue(job),
                Command::Forget => {
                    self.engine.forgotten.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        match phase {
            Phase::Open => true,
            Phase::Left => !self.is_idle(),
            Phase::Stopping | Phase::Closed => false,
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty()
    }

    fn enqueue(&mut self, job: Job) {
        let ask = Ask {
            class: job.class,
            client: Client(job.steps as u64),
            deadline: self.began + Duration::from_secs(3600),
        };
        let pushed = self.queue.push(job, ask, self.now());
        assert!(pushed.is_ok(), "the places are fewer than the queue's");
    }

    fn sweep(&mut self) {
        for job in self.queue.remove(Job::is_cancelled) {
            job.answer(Answer::Cancelled);
        }
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(job, _)| job.is_cancelled());
        self.running = running;
        self.end(ended, || Answer::Cancelled);
    }

    fn admit(&mut self) {
        while self.running.len() < self.slots
            && let Some(choice) = self.queue.next(self.now(), |_| true)
            && let Some(taken) = self.queue.take(choice, self.now())
        {
            self.running.push(taken);
        }
    }

    fn compute(&mut self) {
        for (job, standing) in &mut self.running {
            job.steps -= 1;
            self.queue.charge(standing.client(), 1);
        }
        let (ended, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|(job, _)| job.steps == 0);
        self.running = running;
        self.end(ended, || Answer::Done);
        thread::yield_now();
    }

    fn end(&mut self, ended: Vec<(Job, Standing)>, answer: fn() -> Answer) {
        for (job, standing) in ended {
            self.queue.done(standing);
            job.answer(answer());
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A failed claim is told once; waiting for a lock while unwinding would end the process.
            return;
        }
        for command in self.engine.intake.close() {
            if let Command::Submit(job) = command {
                job.answer(Answer::Cancelled);
            }
        }
        for job in self.queue.remove(|_| true) {
            job.answer(Answer::Cancelled);
        }
        let running = std::mem::take(&mut self.running);
        self.end(running, || Answer::Cancelled);
    }
}

/// How the thread is told to end.
#[derive(Clone, Copy)]
enum End {
    Leave,
    Stop,
    Both,
    /// Not at all: it dies after its first step.
    Death,
}

/// Callers submit and cancel while another thread ends the engine at any point; `limit` is small, so that some are
/// refused.
fn callers_against_the_end(end: End, slots: usize, limit: usize) {
    let life = match end {
        End::Death => 1,
        _ => u64::MAX,
    };
    let (engine, thread) = Engine::start_mortal(slots, life);
    let callers: Vec<_> = (0..3)
        .map(|caller| {
            let engine = engine.clone();
            thread::spawn(move || caller_of_two(&engine, caller, limit))
        })
        .collect();
    let enders: Vec<_> = match end {
        End::Leave => vec![Intake::leave as fn(&Intake<Command>)],
        End::Stop => vec![Intake::stop as fn(&Intake<Command>)],
        End::Both => vec![Intake::leave, Intake::stop],
        End::Death => Vec::new(),
    };
    let enders: Vec<_> = enders
        .into_iter()
        .map(|end| {
            let engine = engine.clone();
            thread::spawn(move || end(&engine.intake))
        })
        .collect();
    for handle in callers.into_iter().chain(enders) {
        handle.join().expect("a caller");
    }
    thread.join().expect("the engine thread ends");
    assert!(matches!(engine.submit(limit, 1), Err(Refusal::Closed)));
    assert!(engine.intake.close().is_empty(), "nothing is left inside");
}

/// Hands two jobs in before it reads an answer, and cancels one of them from another thread.
fn caller_of_two(engine: &Engine, caller: usize, limit: usize) {
    let mut tickets = Vec::new();
    for steps in [1 + caller, 2] {
        match engine.submit(limit, steps) {
            Ok(ticket) => tickets.push(ticket),
            Err(Refusal::Full(unanswered)) => assert!(unanswered >= limit, "{unanswered}"),
            Err(Refusal::Closed) => {}
        }
    }
    let canceller = tickets.last().map(|ticket| {
        let cancelled = ticket.cancelled.clone();
        thread::spawn(move || cancelled.store(true, Ordering::SeqCst))
    });
    for ticket in &tickets {
        ticket.only_answer();
    }
    if let Some(canceller) = canceller {
        canceller.join().expect("a canceller");
    }
}

#[test]
fn every_job_that_was_let_in_is_answered_once_while_the_last_caller_leaves() {
    shuttle::check_random(|| callers_against_the_end(End::Leave, 2, 4), 10_000);
    shuttle::check_pct(|| callers_against_the_end(End::Leave, 1, 3), 10_000, 4);
}

#[test]
fn every_job_that_was_let_in_is_answered_once_while_the_thread_is_stopped() {
    shuttle::check_random(|| callers_against_the_end(End::Stop, 2, 4), 10_000);
    shuttle::check_pct(|| callers_against_the_end(End::Stop, 1, 3), 10_000, 4);
}

#[test]
fn every_job_that_was_let_in_is_answered_once_when_leaving_and_stopping_race() {
    shuttle::check_random(|| callers_against_the_end(End::Both, 1, 4), 10_000);
}

#[test]
fn every_job_that_was_let_in_is_answered_once_when_the_thread_dies() {
    shuttle::check_random(|| callers_against_the_end(End::Death, 1, 4), 10_000);
}

#[test]
fn one_job_and_one_end_are_right_in_every_interleaving() {
    for end in [Intake::<Command>::leave, Intake::stop] {
        shuttle::check_dfs(
            move || {
                let (engine, thread) = Engine::start(1);
                let ticket = engine.submit(1, 1).expect("a place");
                end(&engine.intake);
                ticket.only_answer();
                thread.join().expect("the engine thread ends");
                assert!(matches!(engine.submit(1, 1), Err(Refusal::Closed)));
            },
            None,
        );
    }
}

#[test]
fn after_leaving_what_was_let_in_is_done_and_not_cancelled() {
    shuttle::check_random(
        || {
            let (engine, thread) = Engine::start(1);
            let tickets = [1, 2, 3].map(|steps| engine.submit(3, steps).expect("a place"));
            engine.intake.leave();
            for ticket in tickets {
                assert_eq!(ticket.only_answer(), Answer::Done);
            }
            thread.join().expect("the engine thread ends");
        },
        10_000,
    );
}

#[test]
fn a_stop_after_leaving_ends_a_job_that_would_not_end() {
    shuttle::check_random(
        || {
            let (engine, thread) = Engine::start(1);
            let ticket = engine.submit(1, usize::MAX).expect("a place");
            engine.intake.leave();
            engine.intake.stop();
            assert_eq!(ticket.only_answer(), Answer::Cancelled);
            thread.join().expect("the engine thread ends");
        },
        10_000,
    );
}

#[test]
fn a_caller_that_was_answered_finds_its_place_free() {
    shuttle::check_random(
        || {
            let (engine, thread) = Engine::start(2);
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let engine = engine.clone();
                    thread::spawn(move || {
                        // Two callers, two places: whoever holds none finds one.
                        for steps in 1..4 {
                            let ticket = engine.submit(2, steps).expect("a place");
                            assert_eq!(ticket.answer.recv(), Ok(Answer::Done));
                        }
                    })
                })
                .collect();
            for caller in callers {
                caller.join().expect("a caller");
            }
            // A limit of one lets it in only if all places are back.
            let last = engine.submit(1, 1).expect("all places are free");
            last.only_answer();
            engine.intake.leave();
            thread.join().expect("the engine thread ends");
        },
        10_000,
    );
}

#[test]
fn no_more_are_let_in_than_there_are_places() {
    shuttle::check_random(
        || {
            // No thread takes: nothing is answered.
            let intake: Arc<Intake<Place>> = Arc::new(Intake::new(Arc::new(Permits::new())));
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (intake, pass) = (intake.clone(), Pass::new());
                    thread::spawn(move || usize::from(intake.submit(2, &pass, |p| p).is_ok()))
                })
                .collect();
            let let_in = callers.into_iter().map(|c| c.join().expect("a caller"));
            assert_eq!(let_in.sum::<usize>(), 2);
            assert_eq!(intake.take(Wait::Forever).0.len(), 2);
        },
        10_000,
    );
}

#[test]
fn what_was_told_before_the_last_caller_left_is_seen() {
    shuttle::check_random(
        || {
            let (engine, thread) = Engine::start(1);
            let teller = {
                let engine = engine.clone();
                thread::spawn(move || {
                    engine.intake.tell(Command::Forget);
                    let ticket = engine.submit(1, 2).expect("a place");
                    engine.intake.tell(Command::Forget);
                    ticket.only_answer();
                })
            };
            engine.intake.tell(Command::Forget);
            teller.join().expect("the teller");
            engine.intake.leave();
            thread.join().expect("the engine thread ends");
            assert_eq!(engine.forgotten.load(Ordering::SeqCst), 3);
            engine.intake.tell(Command::Forget);
            assert!(engine.intake.close().is_empty(), "told to nobody");
        },
        10_000,
    );
}

#[test]
fn a_reader_gets_every_piece_and_then_the_end() {
    shuttle::check_dfs(
        || {
            let (writer, reader) = pipe();
            let sender = thread::spawn(move || {
                writer.send(1);
                writer.send(2);
            });
            let end = Instant::now() + Duration::from_secs(3600);
            for expect in [Next::Piece(1), Next::Piece(2), Next::Ended] {
                assert!(reader.next_until(end) == expect);
            }
            sender.join().expect("the sender");
        },
        None,
    );
}
