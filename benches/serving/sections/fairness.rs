//! Two clients of one backend, one of which wants far more: what the other still gets.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::Bench;
use crate::engine::Request;
use crate::error::Result;
use crate::measure;
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::shape::Size;

pub const NAME: &str = "fairness";

/// Turns decoded together.
const PARALLEL: usize = 8;
/// Threads of the two clients while both have more work than room.
const HEAVY: usize = 16;
const LIGHT: usize = 8;
/// Threads of the heavy one while the other has one.
const HEAVIER: usize = 32;
/// Token cost: a prompt token counts once, a generated one twice.
const GENERATED_COST: u64 = 2;
/// The share of the light client, and its speed compared with being alone.
const SHARE: f64 = 0.40;

/// A client: its threads run turns one after the other until they are told to stop.
struct Client<'a> {
    key: &'static str,
    prompts: &'a [String],
    ledger: Ledger,
}

/// What a client got while it counted.
#[derive(Default)]
struct Ledger {
    prompt_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    turns: AtomicU64,
    turn_micros: AtomicU64,
    turn_tokens: AtomicU64,
}

/// When turns go on and when they count.
#[derive(Default)]
struct Clock {
    counting: AtomicBool,
    ended: AtomicBool,
}

/// What one client got, as plain numbers.
#[derive(Debug, Clone, Copy)]
struct Got {
    cost: u64,
    turns: u64,
    /// Generated tokens per second of whole turns.
    speed: f64,
    turn_seconds: f64,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    if !bench.has_client_keys() {
        report.note("fairness: skipped, the library has no wasi_nn_set_client_key");
        return Ok(());
    }
    let size = bench.shape.stream;
    let prompts = bench.prompts(size.prompt, HEAVIER + LIGHT)?;
    let engine = bench.ours(&Settings {
        parallel: PARALLEL,
        context: 256,
        contexts: HEAVIER + LIGHT,
        queue: 64,
    })?;
    let window = bench.shape.window;
    let (light_prompts, heavy_prompts) = prompts.split_at(LIGHT);
    let compete = |light: usize, heavy: usize, window: Duration| {
        let light = Client::new("light", &light_prompts[..light]);
        let heavy = Client::new("heavy", &heavy_prompts[..heavy]);
        compete(&engine, &[&light, &heavy], size, window)?;
        Ok((light.got(), heavy.got()))
    };
    let (light, heavy) = compete(LIGHT, HEAVY, window)?;
    report.row(share("light client, share", light, heavy));
    let (alone, _) = compete(1, 0, window / 2)?;
    let (beside, heavier) = compete(1, HEAVIER, window)?;
    report.row(share("lone light stream, share", beside, heavier));
    if alone.turns == 0 {
        report.note("fairness: no speed of a lone stream, its first turn outlasted the time");
        return Ok(());
    }
    report.row(
        Row::new(NAME, "lone light stream, speed of its turns", "tok/s")
            .ours(beside.speed)
            .against("alone", alone.speed)
            .details(json!({"turns": beside.turns, "turns_alone": alone.turns})),
    );
    report.row(
        Row::new(NAME, "lone light stream, time of a turn", "s")
            .ours(beside.turn_seconds)
            .against("alone", alone.turn_seconds),
    );
    Ok(())
}

fn share(what: &str, light: Got, heavy: Got) -> Row {
    let share = light.cost as f64 / (light.cost + heavy.cost).max(1) as f64;
    Row::new(NAME, what, "of the token cost")
        .ours(share)
        .target(Target::Value(Bound::AtLeast(SHARE)))
        .details(json!({
            "light_cost": light.cost,
            "heavy_cost": heavy.cost,
            "light_turns": light.turns,
            "heavy_turns": heavy.turns,
        }))
}

impl<'a> Client<'a> {
    fn new(key: &'static str, prompts: &'a [String]) -> Client<'a> {
        Client {
            key,
            prompts,
            ledger: Ledger::default(),
        }
    }

    fn got(&self) -> Got {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let turns = number(&self.ledger.turns);
        let seconds = number(&self.ledger.turn_micros) as f64 / 1e6;
        Got {
            cost: number(&self.ledger.prompt_tokens)
                + GENERATED_COST * number(&self.ledger.generated_tokens),
            turns,
            speed: number(&self.ledger.turn_tokens) as f64 / seconds.max(1e-9),
            turn_seconds: seconds / turns.max(1) as f64,
        }
    }

    /// One thread of it.
    fn work(&self, engine: &Ours, prompt: &str, size: Size, clock: &Clock) -> Result<()> {
        let add = |counter: &AtomicU64, number: u64| counter.fetch_add(number, Ordering::Relaxed);
        while !clock.ended.load(Ordering::Relaxed) {
            let context = engine.context()?;
            context.set_client_key(self.key)?;
            let request = Request {
                prompt,
                tokens: size.tokens,
            };
            let begun_counting = clock.counting.load(Ordering::Relaxed);
            let begun = Instant::now();
            let mut pieces = 0;
            let turn = ours::stream(&context, request, &mut || {
                if clock.counting.load(Ordering::Relaxed) {
                    // The context is new, so the whole prompt was evaluated before the first piece.
                    let prompt = if pieces == 0 { size.prompt } else { 0 };
                    add(&self.ledger.prompt_tokens, prompt.into());
                    add(&self.ledger.generated_tokens, 1);
                }
                pieces += 1;
                match clock.ended.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
            if begun_counting && clock.counting.load(Ordering::Relaxed) {
                let micros = begun.elapsed().as_micros();
                add(&self.ledger.turns, 1);
                add(&self.ledger.turn_tokens, turn.completion_tokens);
                add(
                    &self.ledger.turn_micros,
                    u64::try_from(micros).unwrap_or(u64::MAX),
                );
            }
        }
        Ok(())
    }
}

/// Lets the clients work and counts what they get in the window, after a while in which the queue fills.
fn compete(engine: &Ours, clients: &[&Client<'_>], size: Size, window: Duration) -> Result<()> {
    let clock = Clock::default();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for client in clients {
            for prompt in client.prompts {
                let clock = &clock;
                threads.push(scope.spawn(move || client.work(engine, prompt, size, clock)));
            }
        }
        thread::sleep(window / 10);
        clock.counting.store(true, Ordering::Relaxed);
        thread::sleep(window);
        clock.counting.store(false, Ordering::Relaxed);
        clock.ended.store(true, Ordering::Relaxed);
        threads.into_iter().try_for_each(measure::join)
    })
}
