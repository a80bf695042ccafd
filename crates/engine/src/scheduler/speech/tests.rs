//! Answers of models that think, with forced choices: each row of logits prefers some tokens to others.

use std::path::Path;

use super::*;
use crate::config::{Config, Door, RawConfig};
use crate::llama::{CpuExperts, Model, ModelParams, Special, SplitMode};
use crate::reasoning::{Format, detect};
use crate::stopping::Named;

struct Bench {
    vocab: Vocab,
    config: Config,
}

impl Bench {
    fn new(more: &str) -> Bench {
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
        let text = format!(r#"{{"sampling": {{"temp": 0, "repeat_penalty": 1.0}}, {more}}}"#);
        let raw = RawConfig::parse(Door::Init, text.as_bytes()).unwrap();
        Bench {
            vocab: Arc::new(Model::outline(&path, &params).unwrap()).vocab(),
            config: Config::from_layers(&[(Door::Init, &raw)]).0,
        }
    }

    /// An answer behind a prompt that ends with `opening`.
    fn speech(&self, format: Format, opening: &str, limit: Option<usize>) -> Speech {
        let recipe = sampling::recipe(&self.config.sampling, &self.vocab, 0, 512).unwrap();
        let named = Named {
            token_limit: limit,
            ..Named::default()
        };
        let rules = Rules::compile(&self.config.stopping, named).unwrap();
        let splitter = Splitter::new(Arc::new(format), opening);
        Speech::new(recipe, Arc::new(rules)).sorted_by(Some(splitter))
    }

    fn tokens(&self, text: &str) -> Vec<Token> {
        self.vocab.tokenize(text, Special::Parse).unwrap()
    }

    /// The model would say `texts`, and "no" in the place of what it may not. Gives the verdict, the streamed text and what
    /// was said.
    fn say(&self, mut speech: Speech, texts: &[&str]) -> (Verdict, String, Said) {
        let mut wanted: Vec<Token> = texts.iter().flat_map(|text| self.tokens(text)).collect();
        wanted.extend(self.vocab.eos());
        let mut streamed = String::new();
        for token in wanted {
            let mut row = vec![0.0; self.vocab.n_tokens()];
            self.tokens("no")
                .iter()
                .for_each(|t| row[t.0 as usize] = 5.0);
            self.vocab
                .eos()
                .into_iter()
                .for_each(|t| row[t.0 as usize] = 4.0);
            row[token.0 as usize] = 9.0;
            let verdict = speech.next(&row, &self.vocab, Duration::ZERO).unwrap();
            streamed.extend(speech.take());
            if let Some(verdict) = verdict {
                let (verdict, rest) = speech.finish(verdict);
                streamed.extend(rest);
                return (verdict, streamed, speech.said());
            }
        }
        panic!("the answer did not end");
    }
}

/// Marks in text.
fn think() -> Format {
    detect("<think></think>", |_| None).unwrap()
}

#[test]
fn the_thought_is_no_part_of_the_answer_its_stream_or_its_tokens() {
    let bench = Bench::new(r#""stopping": {"stop": ["hm"]}"#);
    let speech = bench.speech(think(), "", None);
    let (verdict, streamed, said) = bench.say(
        speech,
        &["<think>", "hm", "</think>", "\n\n", "yes", " it is"],
    );
    assert_eq!(verdict, Verdict::Eos);
    assert_eq!(said.reasoning.as_deref(), Some("hm"));
    assert_eq!((&*said.text, &*streamed), ("yes it is", "yes it is"));
    let whole = [bench.tokens("yes"), bench.tokens(" it is")].concat();
    assert_eq!((said.tokens, said.token_bytes), (whole, said.text.len()));
    // Stop strings are about the answer.
    let speech = bench.speech(think(), "<think>", None);
    let (verdict, _, said) = bench.say(speech, &["hm", "</think>", "yes hm no"]);
    assert_eq!(verdict, Verdict::Stop("hm".into()));
    assert_eq!(&*said.text, "yes ");
}

#[test]
fn an_answer_that_only_looks_like_a_thought_at_first_is_whole() {
    let bench = Bench::new(r#""stopping": {"stop": ["never"]}"#);
    for text in ["<thing> it is", " <", "yes"] {
        let speech = bench.speech(think(), "", None);
        let (_, streamed, said) = bench.say(speech, &[text]);
        assert_eq!((&*said.text, &*streamed), (text, text));
        assert_eq!(said.reasoning, None);
        assert_eq!(
            (said.tokens, said.token_bytes),
            (bench.tokens(text), text.len())
        );
    }
}

#[test]
fn an_answer_that_ends_inside_its_thought_is_empty() {
    let bench = Bench::new(r#""stopping": {}"#);
    let limit = bench.tokens("hm hm hm").len();
    let speech = bench.speech(think(), "<think>\n", Some(limit));
    let (verdict, streamed, said) = bench.say(speech, &["hm hm hm", "</think>", "yes"]);
    assert_eq!(verdict, Verdict::Length);
    assert_eq!((&*said.text, &*streamed), ("", ""));
    assert_eq!(said.reasoning.as_deref(), Some("hm hm hm"));
    assert_eq!((said.tokens.len(), said.reasoning_tokens), (0, limit));
}

#[test]
fn a_grammar_begins_behind_the_thought() {
    let bench = Bench::new(r#""grammar": "root ::= \"yes\" | \"no\"""#);
    let check =
        |format: Format, opening: &str, texts: &[&str], thought: Option<&str>, answer: &str| {
            let speech = bench.speech(format, opening, None);
            let (verdict, _, said) = bench.say(speech, texts);
            assert_eq!(
                (said.reasoning.as_deref(), &*said.text),
                (thought, answer),
                "{texts:?}"
            );
            assert_eq!(verdict, Verdict::Eos);
        };
    let hm = Some("hm hm");
    check(think(), "<think>", &["hm hm", "</think>", "yes"], hm, "yes");
    check(
        think(),
        "<think>",
        &["hm hm", "</think>", "\n\n", "no"],
        hm,
        "no",
    );
    check(
        think(),
        "<think>",
        &["hm hm", "</think>", "\n", "It is"],
        hm,
        "no",
    );
    check(think(), "<think>", &["hm hm</think>", "maybe"], hm, "no");
    // A model that does not think is bound from its first token on.
    check(think(), "", &["It is"], None, "no");
    // Whether it thinks is for the model to say where the mark is a token.
    let [open, close] = ["<|im_start|>", "."].map(|text| bench.tokens(text)[0].0);
    let marked = |text: &str| match text {
        "<think>" => Some(open),
        "</think>" => Some(close),
        _ => None,
    };
    let format = || detect("<think></think>", marked).unwrap();
    check(
        format(),
        "",
        &["<|im_start|>", "hm hm", ".", "It"],
        hm,
        "no",
    );
    check(format(), "", &["It is"], None, "no");
    let [channel, message, start, end] =
        ["<|im_start|>", "{", "}", "["].map(|text| bench.tokens(text)[0].0);
    let harmony = || Format::Harmony {
        channel,
        message,
        start,
        end,
    };
    let thought = [
        "<|im_start|>",
        "analysis",
        "{",
        "hm hm",
        "[",
        "}",
        "assistant",
    ];
    let answer = ["<|im_start|>", "final", "{", "It is"];
    check(harmony(), "", &[&thought[..], &answer].concat(), hm, "no");
    check(harmony(), "", &answer, None, "no");
    check(harmony(), "", &["It is"], None, "no");
}

#[test]
fn a_grammar_that_does_not_allow_what_stands_behind_the_thought_ends_the_answer() {
    let bench = Bench::new(r#""grammar": "root ::= \"yes\" | \"no\"""#);
    // A mark that ends within a token, which begins the answer.
    let Format::Marked {
        open,
        opening,
        label,
        ..
    } = think()
    else {
        panic!("marks")
    };
    let format = Format::Marked {
        open,
        close: crate::reasoning::Mark::Text("y".into()),
        opening,
        label,
    };
    let speech = bench.speech(format, "<think>", None);
    let (verdict, _, said) = bench.say(speech, &["you"]);
    assert_eq!((verdict, &*said.text), (Verdict::GrammarDeadEnd, "ou"));
}
