//! Cancellation inside a step, on a real context of the pocket model.

mod files;
mod seats;

use std::path::Path;

use super::super::batch;
use super::super::cores::Cores;
use super::super::desk;
use super::super::job::{self, Deadlines, Job, Kept, Past, Piece, SessionKey, Ticket, Turn};
use super::super::media::Media;
use super::super::pace::Amount;
use super::super::permits::Pass;
use super::super::queue::{Ask, Limits, Now, Queue};
use super::super::speech::Speech;
use super::*;
use crate::config::{CacheStrategy, Config, Door, RawConfig};
use crate::llama::{Special, Token};
use crate::models::{Beside, Source, bring_up};
use crate::sampling;
use crate::spill::Store;
use crate::stopping::{Named, Rules};

const RIVERS: &str = "Tell me about rivers.";
const COUNT: &str = "Count to 20.";
/// Tokens of each answer.
const LENGTH: usize = 40;

/// A lane of two slots and what its turns came from.
struct Bench {
    lane: Lane,
    vocab: Vocab,
    config: Config,
    queue: Queue<Box<Work>>,
    cores: Member,
    watch: Watch,
    turns: u64,
}

/// A turn in the lane, as its caller has it.
struct Caller {
    ticket: Ticket,
    cancelled: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(unmeasured())
    }

    fn with(shape: Shape) -> Bench {
        Bench::with_graphs(32, shape)
    }

    /// With so many tokens in a graph at most.
    fn with_graphs(tokens: u32, shape: Shape) -> Bench {
        let text = r#"{
            "model": {"ctx_size": 512, "ubatch_size": 32, "threads": 1, "threads_batch": 1},
            "performance": {"n_parallel": 2},
            "sampling": {"temp": 0, "repeat_penalty": 1.0},
            "stopping": {"ignore_eos": true}
        }"#;
        let text = text.replace(": 32,", &format!(": {tokens},"));
        let raw = RawConfig::parse(Door::Init, text.as_bytes()).unwrap();
        let (config, findings) = Config::from_layers(&[(Door::Init, &raw)]);
        assert_eq!(findings, []);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/pocket-a.gguf");
        let brought = bring_up(
            &Source::file(&path).unwrap(),
            &config,
            Beside::default(),
            &mut |_| true,
        )
        .unwrap();
        let lane = Lane::new(Setup {
            context: brought.context,
            parallel: 2,
            capacity: brought.plan.session_tokens as usize,
            threads: brought.plan.threads,
            placement: Placement::CPU,
            shape,
            fair: true,
            keeping: keeping(),
            totals: Arc::default(),
        });
        Bench {
            lane,
            vocab: brought.weights.vocab(),
            config,
            queue: Queue::new(Limits {
                warn_at: 8,
                reject_at: 8,
                by_class: true,
                fair: true,
                sweep_expired: true,
            }),
            cores: Member::join(&Cores::new(1)),
            watch: Watch::new(Duration::ZERO, Arc::default()),
            turns: 0,
        }
    }

    /// Gives a turn a slot.
    fn enter(&mut self, prompt: &str) -> Caller {
        let (work, standing, caller) = self.take(prompt);
        let now = Instant::now();
        let seat = self.lane.reserve(&work, false, now).ok().unwrap();
        assert!(seat.enter(work, standing, now).is_ok());
        caller
    }

    /// A turn that has waited and is about to get a slot.
    fn take(&mut self, prompt: &str) -> (Box<Work>, Standing, Caller) {
        self.turns += 1;
        self.wait(prompt, self.turns)
    }

    /// A turn of a session, out of the queue and without a slot.
    fn wait(&mut self, prompt: &str, session: u64) -> (Box<Work>, Standing, Caller) {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (answer, ticket) = job::channel(cancelled.clone());
        let recipe = sampling::recipe(&self.config.sampling, &self.vocab, 0, 512).unwrap();
        let rules = Rules::compile(
            &self.config.stopping,
            Named {
                token_limit: Some(LENGTH),
                ..Named::default()
            },
        )
        .unwrap();
        let time = Instant::now();
        let turn = Turn {
            session: SessionKey(session),
            class: Class::Normal,
            client: Client(session),
            deterministic: false,
            // Nothing is held back of an answer that is read.
            stream: true,
            tokens: self.vocab.tokenize(prompt, Special::Plain).unwrap(),
            media: Media::default(),
            speech: Speech::new(recipe, Arc::new(rules)),
            deadlines: Deadlines {
                queued: time + Duration::from_secs(3600),
                hard: None,
            },
            keep_cache: true,
            past: Past::default(),
            since: time,
            pass: Pass::new(),
            cancelled: cancelled.clone(),
            keeps: Kept::default(),
        };
        let ask = Ask {
            class: turn.class,
            client: turn.client,
            deadline: turn.deadlines.queued,
        };
        let work = Box::new(Work::new(Job {
            turn,
            submitted: time,
            place: None,
            answer,
        }));
        let now = Now { step: 1, time };
        assert!(self.queue.push(work, ask, now).is_ok());
        let choice = self.queue.next(now, |_| true).unwrap();
        let (work, standing) = self.queue.take(choice, now).unwrap();
        (work, standing, Caller { ticket, cancelled })
    }

    /// One step of the loop: who was cancelled leaves, then the lane evaluates.
    fn step(&mut self) -> Vec<Ended> {
        let now = Instant::now();
        let mut ended = Vec::new();
        self.lane
            .end(now, |work| desk::over(work, now).map(Err), &mut ended);
        ended.extend(self.evaluate());
        ended
    }

    /// The lane's part of a step: nobody has looked at the flags yet.
    fn evaluate(&mut self) -> Vec<Ended> {
        let halt = AtomicBool::new(false);
        let mut ended = Vec::new();
        let around = Around {
            vocab: &self.vocab,
            halt: &halt,
            cores: &self.cores,
            classes: Classes::default(),
            beside: Duration::ZERO,
            charge: &mut |_, _| (),
            watch: &mut self.watch,
        };
        self.lane.step(around, &mut ended);
        ended
    }

    /// Prompt tokens of a step beside whose steps other contexts of the model take so long.
    fn prefill_beside(&mut self, beside: Duration) -> usize {
        let amount = self.lane.plan(Instant::now(), 1, beside).unwrap();
        self.lane.slots.iter_mut().for_each(Slot::unplan);
        amount.prefill
    }

    /// Steps until one that evaluates no prompts would be next.
    fn until_decoding(&mut self) {
        while batch::decodes(&self.lane.slots) < self.lane.len() {
            assert!(self.step().is_empty());
        }
    }

    /// Steps until no turn is left, and answers them.
    fn finish(&mut self) {
        for _ in 0..1000 {
            for ended in self.step() {
                match ended.how {
                    Ok(verdict) => drop(ended.work.finish(verdict, Instant::now())),
                    Err(error) => ended.work.fail(error),
                }
            }
            if self.lane.len() == 0 {
                return;
            }
        }
        panic!("the turns do not end");
    }

    fn given_up(&self) -> u64 {
        self.lane.totals.aborted_steps.get()
    }

    /// Cells of each running turn, which the context and the books must agree on.
    fn cells(&self) -> Vec<usize> {
        let slots = self.lane.slots.iter();
        slots
            .map(|slot| {
                let counted = self.lane.pool.len(slot.sequence);
                let filled = self.lane.context.seq_next_pos(slot.seq);
                assert_eq!(counted, filled as usize);
                counted
            })
            .collect()
    }
}

impl Caller {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The answer's tokens.
    fn answer(&self) -> Result<Vec<Token>> {
        loop {
            match self.ticket.next()? {
                Piece::Done(outcome) => return Ok(outcome.tokens),
                Piece::Failed(error) => return Err(error),
                _ => {}
            }
        }
    }
}

/// Nothing is kept outside of the context.
fn keeping() -> Keeping {
    Keeping {
        model: 1,
        store: Arc::new(Store::new(Box::new(|_| Err(std::io::Error::other("none"))))),
        strategy: CacheStrategy::Lru,
        idle_limit: 0,
        threshold: 0.85,
        halves: true,
        shares: true,
    }
}

fn unmeasured() -> Shape {
    Shape::Paced(Pace::new(Duration::from_millis(250), 2), Governor::new(1))
}

/// Any real step takes more than four times as long as this machine's, which are of a nanosecond.
fn impatient() -> Shape {
    expecting(Duration::from_nanos(1))
}

/// A machine that takes `time` for an answer's token, and as long for thousands of a prompt.
fn expecting(time: Duration) -> Shape {
    let mut pace = Pace::new(Duration::from_millis(250), 2);
    for (decodes, prefill) in [(1, 0), (2, 0), (0, 10_000)] {
        pace.record(Amount { decodes, prefill }, time);
    }
    Shape::Paced(pace, Governor::new(1))
}

fn alone(prompt: &str) -> Vec<Token> {
    let mut bench = Bench::new();
    let caller = bench.enter(prompt);
    bench.finish();
    caller.answer().unwrap()
}

#[test]
fn a_step_whose_turns_are_all_cancelled_is_given_up_and_its_cells_are_cut() {
    let mut bench = Bench::new();
    let callers = [bench.enter(RIVERS), bench.enter(COUNT)];
    bench.until_decoding();
    let before = bench.cells();
    callers.iter().for_each(Caller::cancel);
    assert!(bench.evaluate().is_empty());
    assert_eq!(bench.given_up(), 1);
    assert_eq!(bench.cells(), before);
    bench.finish();
    assert_eq!(
        callers.map(|c| c.answer()),
        [Err(Error::Cancelled), Err(Error::Cancelled)]
    );
    assert_eq!(bench.given_up(), 1, "a turn that left stops no step");
}

#[test]
fn a_prompt_whose_turn_is_cancelled_is_given_up_and_leaves_no_cells() {
    let mut bench = Bench::new();
    let caller = bench.enter(RIVERS);
    caller.cancel();
    assert!(bench.evaluate().is_empty());
    assert_eq!((bench.given_up(), bench.cells()), (1, vec![0]));
    bench.finish();
    assert_eq!(caller.answer(), Err(Error::Cancelled));
}

#[test]
fn a_long_step_with_a_cancelled_turn_is_given_up_and_the_others_say_what_they_would_have() {
    let mut bench = Bench::new();
    let (living, gone) = (bench.enter(RIVERS), bench.enter(COUNT));
    bench.until_decoding();
    let before = bench.cells();
    bench.lane.shape = impatient();
    gone.cancel();
    assert!(bench.evaluate().is_empty());
    assert_eq!(bench.given_up(), 1);
    assert_eq!(bench.cells(), before);
    bench.finish();
    assert_eq!(bench.given_up(), 1, "a turn that left stops no step");
    assert_eq!(gone.answer(), Err(Error::Cancelled));
    assert_eq!(living.answer().unwrap(), alone(RIVERS));
}

#[test]
fn a_prompt_in_a_step_that_was_given_up_is_evaluated_again() {
    let mut bench = Bench::new();
    let gone = bench.enter(COUNT);
    bench.until_decoding();
    let living = bench.enter(RIVERS);
    let before = bench.cells();
    assert_eq!(before[1], 0);
    bench.lane.shape = impatient();
    gone.cancel();
    assert!(bench.evaluate().is_empty());
    assert_eq!((bench.given_up(), bench.cells()), (1, before));
    bench.finish();
    assert_eq!(living.answer().unwrap(), alone(RIVERS));
}

#[test]
fn wherever_a_step_is_given_up_its_cells_are_cut() {
    let prompt = RIVERS.repeat(40);
    let mut bench = Bench::new();
    let gone = bench.enter(COUNT);
    bench.until_decoding();
    let living = bench.enter(&prompt);
    gone.cancel();
    // A token of the one and 32 of the other are two graphs, the first of which may be complete.
    let mut time = Duration::ZERO;
    while batch::decodes(&bench.lane.slots) < 2 {
        time += Duration::from_micros(10);
        bench.lane.shape = expecting(time);
        let (before, given_up) = (bench.cells(), bench.given_up());
        assert!(bench.evaluate().is_empty());
        if bench.given_up() > given_up {
            assert_eq!(bench.cells(), before);
        }
    }
    bench.finish();
    assert_eq!(living.answer().unwrap(), alone(&prompt));
}

#[test]
fn a_step_without_an_expectation_is_not_given_up_for_one_of_its_turns() {
    let mut bench = Bench::new();
    let (living, gone) = (bench.enter(RIVERS), bench.enter(COUNT));
    bench.until_decoding();
    let before = bench.cells();
    bench.lane.shape = unmeasured();
    gone.cancel();
    assert!(bench.evaluate().is_empty());
    assert_eq!(bench.given_up(), 0);
    assert_eq!(bench.cells(), [before[0] + 1, before[1] + 1]);
    bench.finish();
    assert_eq!(gone.answer(), Err(Error::Cancelled));
    assert_eq!(living.answer().unwrap(), alone(RIVERS));
}

#[test]
fn a_long_step_of_living_turns_alone_is_not_given_up() {
    let mut bench = Bench::new();
    let callers = [bench.enter(RIVERS), bench.enter(COUNT)];
    bench.until_decoding();
    bench.lane.shape = impatient();
    bench.finish();
    assert_eq!(bench.given_up(), 0);
    let answers = callers.map(|c| c.answer().unwrap());
    assert_eq!(answers, [alone(RIVERS), alone(COUNT)]);
}

#[test]
fn in_fixed_shapes_an_answer_whose_cells_were_not_saved_comes_back_token_by_token() {
    let mut bench = Bench::with(Shape::Fixed(Fixed::new(64)));
    // A store without room.
    assert_eq!(bench.lane.keeping.store.counts().ram.limit_bytes, 0);
    let caller = bench.enter(RIVERS);
    bench.until_decoding();
    for _ in 0..5 {
        assert!(bench.step().is_empty());
    }
    let steps = bench.lane.steps;
    let now = Instant::now();
    let (work, standing) = bench.lane.park(0, now);
    let seat = bench.lane.reserve(&work, false, now).ok().unwrap();
    assert!(seat.enter(work, standing, now).is_ok());
    // The prompt is one piece; the first token came with it, and five more in steps of their own.
    bench.until_decoding();
    assert_eq!(bench.lane.steps - steps, 1 + 6);
    bench.finish();
    assert_eq!(caller.answer().unwrap(), alone(RIVERS));
}

#[test]
fn idle_cells_leave_a_busy_context_one_portion_a_step() {
    let mut bench = Bench::new();
    // Several in one context: what is idle stays in it.
    for prompt in [RIVERS, COUNT] {
        let _caller = bench.enter(prompt);
        bench.finish();
    }
    let idle = bench.lane.pool.idle_sequences();
    assert_eq!(idle, 2);
    let spills = |bench: &Bench| bench.lane.totals.spills.get();
    let now = Instant::now();
    bench.lane.keeping.halves = false;
    // The first one is more than a portion.
    bench.lane.carry = 1;
    bench.lane.carried = 0;
    bench.lane.thin(0, true, now);
    assert_eq!((spills(&bench), bench.lane.pool.idle_sequences()), (1, 1));
    bench.lane.go_on_thinning(now);
    assert!(bench.lane.is_thinning());
    assert_eq!(
        spills(&bench),
        1,
        "before the next step nothing more is carried"
    );
    assert!(bench.evaluate().is_empty());
    bench.lane.go_on_thinning(now);
    assert_eq!((spills(&bench), bench.lane.pool.idle_sequences()), (2, 0));
    bench.lane.go_on_thinning(now);
    assert!(!bench.lane.is_thinning());
    // What is dropped and not copied goes at once.
    bench.enter(RIVERS);
    bench.finish();
    bench.lane.thin(0, false, now);
    assert_eq!(
        (bench.lane.pool.idle_tokens(), bench.lane.is_thinning()),
        (0, false)
    );
}
