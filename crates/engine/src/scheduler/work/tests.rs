//! What of a turn's text gives way and what is evaluated afterwards, without a context: the tokens of answers are forced.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::super::job::{self, Deadlines, Kept, Past, SessionKey};
use super::super::media::Media;
use super::super::permits::Pass;
use super::super::queue::Client;
use super::super::speech::Speech;
use super::*;
use crate::config::{Config, Door, RawConfig};
use crate::llama::{CpuExperts, Model, ModelParams, SplitMode};
use crate::sampling;
use crate::stopping::deadline::{Adaptive, Speed};
use crate::stopping::{Named, Rules};

/// What turns are made of.
struct Bench {
    vocab: Vocab,
    config: Config,
}

/// A turn, and its whole text without what gave way: its cells in order, and the last token that was sampled.
struct Spoken<'a> {
    bench: &'a Bench,
    work: Work,
    text: Vec<Token>,
    given_way: usize,
}

/// What happens to a turn.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// It says a token.
    Says,
    /// Something gives way, and what follows is moved.
    Moves,
    /// Something gives way, and what follows is evaluated again.
    Cuts,
    /// It loses its slot and gets another one.
    Parks,
}

impl Bench {
    fn new() -> Bench {
        let params = ModelParams {
            n_gpu_layers: Some(0),
            main_gpu: 0,
            tensor_split: Vec::new(),
            split_mode: SplitMode::Layer,
            cpu_experts: CpuExperts::First(0),
            use_mmap: true,
            use_mlock: false,
            check_tensors: false,
            adapters: Vec::new(),
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/pocket-a.gguf");
        let text = br#"{"sampling": {"temp": 0, "repeat_penalty": 1.0}}"#;
        let raw = RawConfig::parse(Door::Init, text).unwrap();
        Bench {
            vocab: Arc::new(Model::outline(&path, &params).unwrap()).vocab(),
            config: Config::from_layers(&[(Door::Init, &raw)]).0,
        }
    }

    /// A turn of `prompt` tokens, all of them evaluated.
    fn turn(
        &self,
        prompt: usize,
        limit: Option<usize>,
        droppable: Option<Droppable>,
    ) -> Spoken<'_> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let (answer, ticket) = job::channel(cancelled.clone());
        ticket.void();
        let recipe = sampling::recipe(&self.config.sampling, &self.vocab, 0, 512).unwrap();
        let named = Named {
            token_limit: limit,
            ..Named::default()
        };
        let rules = Rules::compile(&self.config.stopping, named).unwrap();
        let now = Instant::now();
        let tokens: Vec<Token> = (0..prompt).map(|at| self.token(at)).collect();
        let mut work = Work::new(Job {
            turn: Turn {
                session: SessionKey(1),
                class: Class::Normal,
                client: Client(1),
                deterministic: false,
                stream: false,
                tokens: tokens.clone(),
                media: Media::default(),
                speech: Speech::new(recipe, Arc::new(rules)),
                deadlines: Deadlines {
                    queued: now,
                    hard: None,
                },
                keep_cache: true,
                past: Past {
                    droppable,
                    ..Past::default()
                },
                since: now,
                pass: Pass::new(),
                cancelled,
                keeps: Kept::default(),
            },
            submitted: now,
            place: None,
            answer,
        });
        work.start(0, now).unwrap();
        Spoken {
            bench: self,
            work,
            text: tokens,
            given_way: 0,
        }
    }

    /// A token that ends nothing; neighbours differ.
    fn token(&self, at: usize) -> Token {
        let all = self.vocab.n_tokens() as i32;
        let texts = (all / 2..all).map(Token);
        let texts: Vec<Token> = texts.filter(|&t| !self.vocab.is_control(t)).collect();
        texts[at * 7 % texts.len()]
    }
}

impl Spoken<'_> {
    fn says(&mut self) {
        match self.work.decode_token() {
            Some(_) => self.work.advance(1),
            None => self.work.advance(self.work.prefill_rest().len()),
        }
        let token = self.bench.token(self.text.len() + self.given_way);
        let mut row = vec![0.0; self.bench.vocab.n_tokens()];
        row[token.0 as usize] = 50.0;
        let speech = &mut self.work.job.turn.speech;
        let verdict = speech.next(&row, &self.bench.vocab, Duration::ZERO);
        assert_eq!(verdict.unwrap(), None);
        assert_eq!(speech.sampled().last(), Some(&token));
        self.work.next = Some(token);
        self.text.push(token);
    }

    /// Something gives way, if anything may.
    fn gives_way(&mut self, moved: bool) {
        let cells = self.text.len() - 1;
        let Some(range) = self.work.droppable().filter(|_| self.work.next.is_some()) else {
            return;
        };
        assert!(range.end <= cells, "{range:?} of {cells}");
        self.text.drain(range.clone());
        self.given_way += range.len();
        let filled = if moved {
            cells - range.len()
        } else {
            range.start
        };
        self.work.drop_cells(&range, moved, filled);
        match moved {
            true => {
                assert_eq!(self.work.prefill_rest(), []);
                assert_eq!(self.work.decode_token(), self.text.last().copied());
            }
            false => {
                assert_eq!(self.work.tokens(), self.text);
                assert_eq!(self.work.prefill_rest(), &self.text[filled..]);
            }
        }
    }

    fn parks(&mut self) {
        let now = Instant::now();
        self.work.park(now);
        assert_eq!(self.work.tokens(), self.text);
        assert_eq!(self.work.prefill_rest(), self.text);
        self.work.start(0, now).unwrap();
    }

    fn is(&mut self, event: Event) {
        match event {
            Event::Says => self.says(),
            Event::Moves => self.gives_way(true),
            Event::Cuts => self.gives_way(false),
            Event::Parks => self.parks(),
        }
        let work = &self.work;
        let gone = work.prompt_tokens - work.asked + work.forgotten;
        assert_eq!(gone, self.given_way);
    }
}

#[test]
fn what_gives_way_at_once_is_a_quarter_at_least_and_half_at_most() {
    let bench = Bench::new();
    let check = |prompt: usize, at_once: usize, expect: Option<Range<usize>>| {
        let droppable = Some(Droppable::Text { kept: 100, at_once });
        let mut spoken = bench.turn(prompt, Some(1000), droppable);
        spoken.says();
        assert_eq!(spoken.work.droppable(), expect, "{prompt} {at_once}");
    };
    check(1100, 0, Some(100..600));
    check(1100, 1, Some(100..350));
    check(1100, 300, Some(100..400));
    check(1100, 5000, Some(100..600));
    check(300, 1, Some(100..100 + LEAST));
    check(120, 1, Some(100..110));
    check(101, 1, None);
    check(100, 0, None);
}

#[test]
fn a_turn_that_lost_its_slot_after_a_shift_goes_on_with_what_was_left() {
    let bench = Bench::new();
    let droppable = Some(Droppable::Text {
        kept: 4,
        at_once: 1,
    });
    let mut spoken = bench.turn(10, Some(1000), droppable);
    (0..20).for_each(|_| spoken.says());
    spoken.is(Event::Moves);
    // The prompt behind its kept tokens is gone, and a part of the answer too.
    assert_eq!((spoken.work.asked, spoken.work.forgotten), (4, 6));
    spoken.is(Event::Parks);
    let work = &spoken.work;
    let kept: Vec<Token> = (0..4).map(|at| bench.token(at)).collect();
    let expect = [&kept, &work.job.turn.speech.sampled()[work.forgotten..]].concat();
    assert_eq!(work.tokens(), expect);
    // And once more, where part of the answer is among what must be evaluated.
    spoken.says();
    spoken.is(Event::Moves);
    spoken.is(Event::Parks);
    assert!(spoken.work.forgotten > 6);
}

#[test]
fn the_adaptive_limit_of_an_answer_that_may_outgrow_its_context_is_by_its_tokens() {
    let bench = Bench::new();
    let check = |droppable: Option<Droppable>, limit: Option<usize>, expect: u64| {
        let mut spoken = bench.turn(100, limit, droppable);
        let adaptive = Adaptive {
            max: Duration::from_secs(1_000_000),
            min: Duration::ZERO,
            multiplier: 1.0,
        };
        let speed = Speed {
            prefill_tps: Some(100.0),
            decode_tps: Some(1.0),
        };
        spoken.work.job.turn.deadlines.hard = Some(HardLimit::Adaptive(adaptive, speed));
        spoken.work.begin(Instant::now(), 500);
        let limit = spoken.work.hard_limit();
        // The prompt takes one second of it.
        assert_eq!(limit, Some(Duration::from_secs(1 + expect)));
    };
    let text = Some(Droppable::Text {
        kept: 10,
        at_once: 0,
    });
    check(None, Some(2000), 400);
    check(None, Some(20), 20);
    check(text.clone(), Some(2000), 2000);
    check(text.clone(), Some(20), 20);
    check(text, None, 400 + 2 * 250);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_token_is_lost_or_evaluated_twice_whatever_gives_way_and_when(
        (prompt, kept) in (1..200_usize).prop_flat_map(|prompt| (Just(prompt), 0..=prompt)),
        at_once in prop_oneof![Just(0), 1..300_usize],
        events in proptest::collection::vec(
            prop_oneof![
                4 => Just(Event::Says),
                1 => Just(Event::Moves),
                1 => Just(Event::Cuts),
                1 => Just(Event::Parks),
            ],
            0..120,
        ),
    ) {
        static BENCH: std::sync::LazyLock<Bench> = std::sync::LazyLock::new(Bench::new);
        let droppable = Some(Droppable::Text { kept, at_once });
        let mut spoken = BENCH.turn(prompt, Some(1000), droppable);
        events.into_iter().for_each(|event| spoken.is(event));
    }
}
