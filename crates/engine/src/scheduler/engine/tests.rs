//! Engine threads of real models: two that share one core, and such that end.

mod own;
mod panics;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Instant;

use super::super::class::Class;
use super::super::cores::{Ask, Member};
use super::super::failpoint::armed::Plan;
use super::super::job::{Deadlines, Kept, Past, Piece};
use super::super::media::Media;
use super::super::permits::Pass;
use super::super::queue::Client;
use super::super::slow::Cause;
use super::super::speech::Speech;
use super::*;
use crate::config::{CacheStrategy, Config, Door, RawConfig};
use crate::llama::Special;
use crate::models::{Beside, Source, bring_up};
use crate::sampling;
use crate::spill::Store;
use crate::stopping::{Named, Rules};

/// Turns that keep a model busy for longer than any test looks.
const MANY: usize = 400;
/// A model in service.
struct Bench {
    engine: Engine,
    thread: JoinHandle<()>,
    vocab: Vocab,
    config: Config,
}

impl Bench {
    fn start(which: &str, cores: &Arc<Cores>, totals: &Arc<Totals>) -> Bench {
        Bench::with_plan(which, cores, totals, &Arc::default())
    }

    /// A model whose threads panic where `plan` says.
    fn with_plan(which: &str, cores: &Arc<Cores>, totals: &Arc<Totals>, plan: &Arc<Plan>) -> Bench {
        Bench::with(which, cores, totals, plan, |spare| spare)
    }

    /// A model whose contexts for deterministic turns are made by what `wrap` makes of the usual way.
    fn with_spare(wrap: impl FnOnce(Spare) -> Spare) -> Bench {
        Bench::with("a", &Cores::new(1), &Arc::default(), &Arc::default(), wrap)
    }

    fn with(
        which: &str,
        cores: &Arc<Cores>,
        totals: &Arc<Totals>,
        plan: &Arc<Plan>,
        wrap: impl FnOnce(Spare) -> Spare,
    ) -> Bench {
        let text = r#"{
            "model": {"ctx_size": 512, "ubatch_size": 128, "threads": 1, "threads_batch": 1},
            "performance": {"n_parallel": 2},
            "sampling": {"temp": 0, "repeat_penalty": 1.0},
            "stopping": {"ignore_eos": true}
        }"#;
        let raw = RawConfig::parse(Door::Init, text.as_bytes()).unwrap();
        let (config, findings) = Config::from_layers(&[(Door::Init, &raw)]);
        assert_eq!(findings, []);
        let path = format!("../../models/pocket-{which}.gguf");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let brought = bring_up(
            &Source::file(&path).unwrap(),
            &config,
            Beside::default(),
            &mut |_| true,
        )
        .unwrap();
        let vocab = brought.weights.vocab();
        let start = Start {
            context: brought.context,
            embedding: brought.embedding,
            generates: brought.generates,
            again: brought.again,
            spare: wrap(brought.spare),
            chunk: 64,
            vocab: vocab.clone(),
            parallel: 2,
            capacity: 512,
            keeping: Keeping {
                model: 1,
                store: Arc::new(Store::new(Box::new(|_| Err(std::io::Error::other("none"))))),
                strategy: CacheStrategy::Lru,
                idle_limit: 0,
                threshold: 0.85,
                halves: true,
                shares: false,
            },
            limits: Limits {
                warn_at: 2 * MANY,
                reject_at: 2 * MANY,
                by_class: true,
                fair: true,
                sweep_expired: true,
            },
            permits: Arc::new(Permits::new()),
            threads: brought.plan.threads,
            placement: Placement::CPU,
            cores: cores.clone(),
            target_gap: Duration::from_millis(250),
            slow_step: Duration::from_millis(1),
            gather: Duration::ZERO,
            totals: totals.clone(),
        };
        let plan = plan.clone();
        let spawn: Spawn = Arc::new(move |work| {
            let thread = std::thread::Builder::new().stack_size(8 << 20);
            let plan = plan.clone();
            let work = move || {
                plan.enter();
                work();
            };
            thread
                .spawn(work)
                .map_err(|e| Error::Internal(e.to_string()))
        });
        let engine = Engine::start(start, &spawn).unwrap();
        Bench {
            thread: engine.take_threads().pop().unwrap(),
            engine,
            vocab,
            config,
        }
    }

    /// Hands in a turn with a long prompt and a short answer.
    fn submit(&self, number: usize, class: Class) -> Ticket {
        self.engine.submit(self.turn(number, class)).unwrap()
    }

    fn turn(&self, number: usize, class: Class) -> Turn {
        let prompt = "Tell me about rivers. ".repeat(24);
        let recipe = sampling::recipe(&self.config.sampling, &self.vocab, 0, 512).unwrap();
        let named = Named {
            token_limit: Some(4),
            ..Named::default()
        };
        let rules = Rules::compile(&self.config.stopping, named).unwrap();
        let mut tokens = self.vocab.tokenize(&prompt, Special::Plain).unwrap();
        tokens.truncate(400);
        Turn {
            session: SessionKey(number as u64),
            class,
            client: Client(1),
            deterministic: false,
            stream: true,
            tokens,
            media: Media::default(),
            speech: Speech::new(recipe, Arc::new(rules)),
            deadlines: Deadlines {
                queued: Instant::now() + Duration::from_secs(3600),
                hard: None,
            },
            keep_cache: false,
            past: Past::default(),
            since: Instant::now(),
            pass: Pass::new(),
            cancelled: Arc::default(),
            keeps: Kept::default(),
        }
    }

    /// Hands in so many turns that it stays busy.
    fn flood(&self, class: Class) -> Vec<Ticket> {
        (0..MANY).map(|number| self.submit(number, class)).collect()
    }

    fn end(self) {
        self.engine.stop();
        drop(self.engine);
        self.thread.join().unwrap();
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Core-seconds of two busy models on one core, from when both have computed until they are `enough` together.
fn shares(classes: [Class; 2], cores: &Arc<Cores>, totals: &Arc<Totals>, enough: f64) -> [f64; 2] {
    let benches = ["a", "b"].map(|which| Bench::start(which, cores, totals));
    let pairs = benches.iter().zip(classes);
    let tickets: Vec<_> = pairs.map(|(bench, class)| bench.flood(class)).collect();
    wait_for("both compute", || {
        cores.spent().iter().all(|&spent| spent > 0.0)
    });
    let before = cores.spent();
    let mut shares = [0.0; 2];
    wait_for("there is enough to compare", || {
        let now = cores.spent();
        shares = [now[0] - before[0], now[1] - before[1]];
        shares[0] + shares[1] > enough
    });
    for bench in &benches {
        assert!(bench.engine.stats().waiting_total() > 0, "it ran dry");
    }
    benches.into_iter().for_each(Bench::end);
    drop(tickets);
    assert!(cores.spent().is_empty(), "who has ended has left");
    assert_eq!(cores.free(), 1);
    shares
}

/// How many steps the first model has for each of the second. The clock stands still, so that each of them costs a
/// microsecond, and a model is waited for however long other tests keep its thread from sampling.
fn advantage(first: Class, second: Class) -> f64 {
    let cores = Cores::with_clock(1, Box::new(|| Duration::ZERO));
    let shares = shares([first, second], &cores, &Arc::default(), 300e-6);
    shares[0] / shares[1]
}

#[test]
fn two_busy_models_of_one_class_get_the_same_core_time() {
    let advantage = advantage(Class::Normal, Class::Normal);
    assert!((0.95..1.05).contains(&advantage), "{advantage}");
}

#[test]
fn a_busy_model_with_high_turns_gets_twice_the_core_time_of_one_with_normal_turns() {
    let advantage = advantage(Class::High, Class::Normal);
    assert!((1.9..2.1).contains(&advantage), "{advantage}");
}

#[test]
fn busy_models_on_one_core_wait_for_each_other_and_say_so() {
    let (cores, totals) = (Cores::new(1), Arc::<Totals>::default());
    // How much each gets by the real clock depends on what else runs: who samples for too long is not waited for.
    let shares = shares([Class::Normal; 2], &cores, &totals, 0.5);
    assert!(shares.iter().all(|&seconds| seconds > 0.0), "{shares:?}");
    assert!(totals.cores_wait.snapshot().count > 0);
    assert!(totals.slow.of(Cause::OtherModel) > 0);
}

#[test]
fn a_model_that_waits_for_cores_is_stopped_at_once() {
    let cores = Cores::new(1);
    let other = Member::join(&cores);
    let permit = other.take(Ask::default(), &|| false).unwrap();
    let bench = Bench::start("a", &cores, &Arc::default());
    let ticket = bench.submit(1, Class::Normal);
    wait_for("it has a slot", || bench.engine.stats().running.get() == 1);
    bench.end();
    let last = std::iter::from_fn(|| ticket.next().ok()).last();
    assert!(matches!(last, Some(Piece::Failed(Error::Cancelled))));
    drop(permit);
}

#[test]
fn cores_of_a_step_that_panics_are_free_again() {
    let cores = Cores::new(2);
    let member = Member::join(&cores);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _permit = member.take(
            Ask {
                cores: 2,
                ..Ask::default()
            },
            &|| false,
        );
        assert_eq!(cores.free(), 0);
        resume_unwind(Box::new("a step"));
    }));
    assert!(panicked.is_err());
    assert_eq!(cores.free(), 2);
}
