//! What guests get, with a pocket model. All tests of this file share the process's engine.

mod images;
mod parts;

use serde_json::{Value, json};

use super::*;
use crate::instances;

const QUESTION: &str = "<|im_start|>user\nWhat is your name?<|im_end|>\n<|im_start|>assistant\n";

/// A number for an instance of its own.
fn maker() -> u32 {
    let ctx = instances::open().unwrap();
    instances::caller(ctx, None).unwrap().maker
}

fn load_of(maker: u32, model: &[u8]) -> Result<u32, Failure> {
    let room = may_load_bytes(maker, model.len() as u64)?;
    load_bytes(maker, model.to_vec(), room, None)
}

fn bound(maker: u32) -> Caller {
    Caller {
        maker,
        is_bound: true,
    }
}

fn pocket(which: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    format!("{root}/../../models/pocket-{which}.gguf")
}

fn text_of(config: &Value) -> Option<Vec<u8>> {
    Some(config.to_string().into_bytes())
}

/// An instance with a graph and a context on it.
struct Guest {
    me: Caller,
    graph: u32,
    context: u32,
}

impl Guest {
    fn new(config: Value) -> Guest {
        let me = bound(maker());
        let graph = load_by_name(me.maker, &pocket("a"), text_of(&config)).unwrap();
        let context = open_context(me, graph).unwrap();
        Guest { me, graph, context }
    }

    /// Greedy and short.
    fn calm(more: Value) -> Guest {
        let mut config = json!({"temp": 0, "n-predict": 64, "ctx-size": 1024});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Guest::new(config)
    }

    fn prompt(&self, text: &str) {
        set_prompt(self.me, self.context, text.to_owned()).unwrap();
    }

    fn ask(&self, text: &str) -> String {
        self.prompt(text);
        compute(self.me, self.context).unwrap();
        self.text()
    }

    fn text(&self) -> String {
        output(self.me, self.context, 0).unwrap().to_string()
    }

    fn told(&self) -> Value {
        serde_json::from_str(&output(self.me, self.context, 1).unwrap()).unwrap()
    }

    fn configure(&self, config: Value) -> Result<(), Failure> {
        set_metadata(self.me, self.context, config.to_string().into_bytes())
    }

    /// The pieces of the prompt's turn, and how it ended.
    fn stream(&self) -> (Vec<String>, Failure) {
        let mut pieces = Vec::new();
        loop {
            match compute_single(self.me, self.context) {
                Ok(()) => {
                    let piece = output_single(self.me, self.context, 0).unwrap();
                    pieces.push(piece.to_string());
                }
                Err(failure) => return (pieces, failure),
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        end_instance(self.me.maker);
    }
}

#[test]
fn a_streamed_answer_is_the_computed_one_in_pieces_that_are_not_empty() {
    let guest = Guest::calm(json!({}));
    let whole = guest.ask(QUESTION);
    assert!(whole.contains("Pip"), "{whole:?}");
    let told = guest.told();
    assert_eq!(told["stop_reason"], "eos");
    guest.prompt(QUESTION);
    let (pieces, end) = guest.stream();
    assert_eq!(pieces.concat(), whole);
    assert!(pieces.len() > 1 && pieces.iter().all(|piece| !piece.is_empty()));
    assert_eq!(end, Failure::EndOfSequence);
    assert_eq!(guest.text(), whole, "the whole turn stays readable");
    assert_eq!(guest.told()["output_tokens"], told["output_tokens"]);
    assert_eq!(
        compute_single(guest.me, guest.context),
        Err(Failure::EndOfSequence),
        "again"
    );
    finish_single(guest.me, guest.context).unwrap();
    assert_eq!(
        compute_single(guest.me, guest.context),
        Ok(()),
        "and a new turn after the end"
    );
}

#[test]
fn what_was_streamed_so_far_can_be_read_and_an_early_end_keeps_it() {
    let guest = Guest::calm(json!({"ignore-eos": true, "n-predict": -1}));
    guest.prompt(QUESTION);
    compute_single(guest.me, guest.context).unwrap();
    let first = output_single(guest.me, guest.context, 0).unwrap();
    compute_single(guest.me, guest.context).unwrap();
    let second = output_single(guest.me, guest.context, 0).unwrap();
    assert_eq!(guest.text(), format!("{first}{second}"));
    assert!(guest.told()["input_tokens"].as_u64() > Some(5));
    finish_single(guest.me, guest.context).unwrap();
    assert_eq!(guest.text(), format!("{first}{second}"));
    // The prompt's cells were kept.
    guest.configure(json!({"n-predict": 1})).unwrap();
    guest.ask(QUESTION);
    assert!(
        guest.told()["cached_tokens"].as_u64() > Some(5),
        "{}",
        guest.told()
    );
}

#[test]
fn counts_are_there_before_the_first_turn() {
    let guest = Guest::calm(json!({}));
    assert_eq!(guest.told()["input_tokens"], 0);
    assert_eq!(guest.text(), "");
    let failure = compute(guest.me, guest.context).unwrap_err();
    assert!(matches!(failure, Failure::InvalidArgument(_)), "{failure}");
    assert!(output(guest.me, guest.context, 2).is_err());
}

#[test]
fn the_tokens_of_a_prompt_are_known_before_it_is_computed() {
    let guest = Guest::calm(json!({}));
    guest.prompt(QUESTION);
    let before = guest.told();
    assert!(before["input_tokens"].as_u64() > Some(5), "{before}");
    assert_eq!(before["output_tokens"], 0);
    assert!(before["stop_reason"].is_null());
    // The same prompt again is no longer prompt.
    guest.prompt(QUESTION);
    assert_eq!(guest.told()["input_tokens"], before["input_tokens"]);
    guest.ask(QUESTION);
    assert_eq!(guest.told()["input_tokens"], before["input_tokens"]);
    assert!(guest.told()["output_tokens"].as_u64() > Some(0));
    // The next prompt is counted at once, and the metadata of the turn before is gone.
    guest.prompt("<|im_start|>");
    assert_eq!(guest.told()["input_tokens"], 1);
    assert_eq!(guest.told()["output_tokens"], 0);
    assert_eq!(
        serde_json::from_str::<Value>(&output_single(guest.me, guest.context, 1).unwrap()).unwrap()
            ["input_tokens"],
        1
    );
    guest.configure(json!({"embedding": true})).unwrap();
    guest.prompt(QUESTION);
    let counted = guest.told()["input_tokens"].clone();
    compute(guest.me, guest.context).unwrap();
    assert_eq!(guest.told()["input_tokens"], counted);
}

#[test]
fn stop_texts_are_cut_and_reverse_prompts_stay() {
    let cut = Guest::calm(json!({"stop": ["Pip"]})).ask(QUESTION);
    let kept = Guest::calm(json!({"reverse-prompt": "Pip"})).ask(QUESTION);
    assert!(
        !cut.contains("Pip") && kept.ends_with("Pip"),
        "{cut:?} {kept:?}"
    );
    assert_eq!(kept.strip_suffix("Pip"), Some(cut.as_str()));
}

#[test]
fn settings_at_input_1_act_from_the_next_turn_on_and_a_wrong_one_changes_nothing() {
    let guest = Guest::calm(json!({}));
    let whole = guest.ask(QUESTION);
    guest.configure(json!({"n-predict": 2})).unwrap();
    assert_ne!(guest.ask(QUESTION), whole);
    assert_eq!(guest.told()["output_tokens"], 2);
    for (wrong, is_encoding) in [
        ("{", true),
        (r#"{"n-predict": "x"}"#, false),
        (r#"{"top-p": 7}"#, false),
    ] {
        let failure = set_metadata(guest.me, guest.context, wrong.into()).unwrap_err();
        assert_eq!(
            matches!(failure, Failure::InvalidEncoding(_)),
            is_encoding,
            "{failure}"
        );
    }
    guest.ask(QUESTION);
    assert_eq!(guest.told()["output_tokens"], 2, "as it was");
    guest.configure(json!({"n-predict": null})).unwrap();
    assert_eq!(guest.ask(QUESTION), whole, "null takes a setting back");
}

#[test]
fn a_smaller_context_is_another_model_over_the_same_weights() {
    let guest = Guest::calm(json!({"ignore-eos": true, "n-predict": -1}));
    guest.configure(json!({"ctx-size": 128})).unwrap();
    guest.prompt(QUESTION);
    let full = compute(guest.me, guest.context).unwrap_err();
    assert!(matches!(full, Failure::ContextFull(_)), "{full}");
    assert!(guest.text().contains("Pip"), "what there was can be read");
    guest.prompt(&"Hello. ".repeat(300));
    let long = compute(guest.me, guest.context).unwrap_err();
    assert!(matches!(long, Failure::PromptTooLong(_)), "{long}");
    // A streamed turn says the same, once.
    guest.prompt(QUESTION);
    let (pieces, end) = guest.stream();
    assert!(pieces.concat().contains("Pip"));
    assert!(matches!(end, Failure::ContextFull(_)), "{end}");
    assert_eq!(
        compute_single(guest.me, guest.context),
        Err(Failure::EndOfSequence)
    );
}

#[test]
fn a_turn_that_may_shift_goes_on_in_a_full_context() {
    let more = json!({"ctx-size": 128, "ctx-shift": true, "n-keep": 4, "n-predict": 16});
    let guest = Guest::calm(more);
    let long = format!("{}{QUESTION}", "Hello. ".repeat(300));
    assert!(guest.ask(&long).contains("Pip"));
}

#[test]
fn equal_loads_share_a_model_and_have_handles_of_their_own() {
    let one = Guest::calm(json!({"top-k": 7}));
    let other = Guest::calm(json!({"top_k": 9, "model": {"ctx_size": 1024}}));
    let models = [&one, &other].map(|guest| GRAPHS.get(guest.me, guest.graph).unwrap().model.graph);
    assert_eq!(models[0], models[1], "sampling is no matter of the load");
    assert_ne!(one.graph, other.graph);
    let third = Guest::calm(json!({"ctx-size": 512}));
    assert_ne!(
        GRAPHS.get(third.me, third.graph).unwrap().model.graph,
        models[0]
    );
}

#[test]
fn bytes_that_are_equal_are_in_memory_once() {
    let bytes = std::fs::read(pocket("b")).unwrap();
    let load = || {
        let me = bound(maker());
        let graph = load_of(me.maker, &bytes).unwrap();
        (me, graph)
    };
    let ((one, first), (other, second)) = (load(), load());
    let paths = [(one, first), (other, second)]
        .map(|(me, graph)| GRAPHS.get(me, graph).unwrap().source.path.clone());
    assert_eq!(paths[0], paths[1]);
    let context = open_context(other, second).unwrap();
    end_instance(one.maker);
    // Another context size reads the bytes again.
    set_metadata(
        other,
        context,
        br#"{"temp": 0, "n-predict": 64, "ctx-size": 512}"#.to_vec(),
    )
    .unwrap();
    set_prompt(other, context, QUESTION.to_owned()).unwrap();
    compute(other, context).unwrap();
    assert!(output(other, context, 0).unwrap().contains("Momo"));
    end_instance(other.maker);
}

#[test]
fn a_model_keeps_what_it_was_loaded_from() {
    let bytes = std::fs::read(pocket("b")).unwrap();
    // Padding makes it a file of its own, which no other test holds.
    let bytes = [bytes, vec![0; 64]].concat();
    let me = bound(maker());
    let graph = load_of(me.maker, &bytes).unwrap();
    let (model, path) = {
        let graph = GRAPHS.get(me, graph).unwrap();
        (graph.model.clone(), graph.source.path.clone())
    };
    unload(me, graph).unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes, "{path:?}");
    drop(model);
}

#[test]
fn an_instance_that_has_ended_loads_nothing_and_keeps_nobody_from_it() {
    let config = || text_of(&json!({"ctx-size": 640}));
    let ctx = instances::open().unwrap();
    let ended = instances::close(ctx).unwrap();
    let failure = load_by_name(ended, &pocket("a"), config()).unwrap_err();
    assert!(matches!(failure, Failure::Runtime(_)), "{failure}");
    let me = bound(maker());
    let graph = load_by_name(me.maker, &pocket("a"), config()).unwrap();
    unload(me, graph).unwrap();
}

#[test]
fn handles_of_another_instance_are_unknown_where_the_host_says_who_calls() {
    let (mine, yours) = (Guest::calm(json!({})), bound(maker()));
    assert!(matches!(
        open_context(yours, mine.graph),
        Err(Failure::NotFound(_))
    ));
    assert!(matches!(
        unload(yours, mine.graph),
        Err(Failure::NotFound(_))
    ));
    assert!(matches!(
        compute(yours, mine.context),
        Err(Failure::InvalidArgument(_))
    ));
    assert!(close_context(yours, mine.context).is_err());
    let anybody = Caller {
        maker: 0,
        is_bound: false,
    };
    assert!(output(anybody, mine.context, 1).is_ok());
}

#[test]
fn a_graph_that_was_unloaded_is_not_found_and_its_context_goes_on() {
    let guest = Guest::calm(json!({}));
    unload(guest.me, guest.graph).unwrap();
    assert!(matches!(
        unload(guest.me, guest.graph),
        Err(Failure::NotFound(_))
    ));
    assert!(matches!(
        open_context(guest.me, guest.graph),
        Err(Failure::NotFound(_))
    ));
    assert!(guest.ask(QUESTION).contains("Pip"));
    close_context(guest.me, guest.context).unwrap();
    assert!(matches!(
        compute(guest.me, guest.context),
        Err(Failure::InvalidArgument(_))
    ));
}

#[test]
fn a_running_turn_makes_its_context_busy_and_closing_cancels_it() {
    let guest = Guest::calm(json!({
        // By itself it ends in hours.
        "ignore-eos": true, "n-predict": 1_000_000, "ctx-shift": true,
    }));
    guest.prompt(QUESTION);
    let (me, context) = (guest.me, guest.context);
    std::thread::scope(|scope| {
        // Whoever looks is inside for a moment, too.
        let turn = scope.spawn(move || {
            loop {
                match compute(me, context) {
                    Err(Failure::Busy(_)) => std::thread::yield_now(),
                    ended => return ended,
                }
            }
        });
        while !matches!(output(me, context, 1), Err(Failure::Busy(_))) {
            if turn.is_finished() {
                panic!("the turn ended by itself: {:?}", turn.join());
            }
            std::thread::yield_now();
        }
        close_context(me, context).unwrap();
        let ended = turn.join().unwrap().unwrap_err();
        // The other where the engine had not heard of the turn yet.
        let is_told = matches!(ended, Failure::Runtime(_) | Failure::InvalidArgument(_));
        assert!(is_told, "{ended}");
    });
}

#[test]
fn what_cannot_be_loaded_is_told_apart() {
    let me = maker();
    let load = |name: &str, config: &str| load_by_name(me, name, Some(config.into())).unwrap_err();
    assert!(matches!(
        load("/nowhere.gguf", ""),
        Failure::ModelNotFound(_)
    ));
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert!(matches!(load(manifest, ""), Failure::InvalidEncoding(_)));
    let pocket = pocket("a");
    assert!(matches!(load(&pocket, "[]"), Failure::InvalidEncoding(_)));
    assert!(matches!(
        load(&pocket, r#"{"ctx-size": -4}"#),
        Failure::InvalidArgument(_)
    ));
    assert!(matches!(
        load(&pocket, r#"{"tts": true}"#),
        Failure::Unsupported(_)
    ));
    assert!(matches!(
        load_of(me, b"GGML"),
        Err(Failure::InvalidEncoding(_))
    ));
    assert!(load_of(me, b"GGUF and no model").is_err());
    // A grammar that does not compile is answered before any token.
    let guest = Guest::calm(json!({"grammar": "root ::= ("}));
    guest.prompt(QUESTION);
    let failure = compute(guest.me, guest.context).unwrap_err();
    assert!(matches!(failure, Failure::InvalidArgument(_)), "{failure}");
}

#[test]
fn the_prompts_of_one_instance_are_bounded_together() {
    let guest = Guest::calm(json!({}));
    let more: Vec<u32> = (0..4)
        .map(|_| open_context(guest.me, guest.graph).unwrap())
        .collect();
    let large = "x".repeat(64 << 20);
    for &context in &more {
        set_prompt(guest.me, context, large.clone()).unwrap();
    }
    let failure = set_prompt(guest.me, guest.context, "x".into()).unwrap_err();
    assert!(matches!(failure, Failure::Busy(_)), "{failure}");
    set_prompt(guest.me, more[0], large).unwrap();
    set_prompt(guest.me, more[0], "short".into()).unwrap();
    assert!(guest.ask(QUESTION).contains("Pip"));
}

#[test]
fn one_instance_cannot_take_all_contexts() {
    let guest = Guest::calm(json!({}));
    let refused = (0..=MOST_OF_ONE).find_map(|_| open_context(guest.me, guest.graph).err());
    assert!(matches!(refused, Some(Failure::Busy(_))), "{refused:?}");
    assert!(
        Guest::calm(json!({})).ask(QUESTION).contains("Pip"),
        "others can"
    );
}
