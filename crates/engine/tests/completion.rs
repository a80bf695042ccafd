//! Turns on raw prompts: text as its author wrote it, fetched whole or piece by piece.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

mod common;

use std::sync::Arc;

use common::{GREEDY, greedy, loaded, open, pocket, say, say_with, status, until};
use engine::{Backend, Completion, Error, Prompt, StatusKind};
use serde_json::{Value, json};

/// What the pocket model's template makes of a question.
const QUESTION: &str = "<|im_start|>user\nWhat is your name?<|im_end|>\n<|im_start|>assistant\n";

fn backend() -> Arc<Backend> {
    Arc::new(loaded(GREEDY))
}

fn prompt(text: &str, config: Value, in_pieces: bool) -> Prompt {
    Prompt {
        text: text.into(),
        images: Vec::new(),
        config: Some(config.to_string().into_bytes().into()),
        in_pieces,
    }
}

/// The pieces of the rest of an answer.
fn rest(completion: &mut Completion) -> Result<Vec<String>, Error> {
    std::iter::from_fn(|| completion.next_piece().transpose()).collect()
}

/// The answer and its metadata.
fn complete(backend: &Arc<Backend>, context: u32, text: &str, config: Value) -> (String, Value) {
    let mut completion = backend
        .complete(context, prompt(text, config, false))
        .unwrap();
    let pieces = rest(&mut completion).unwrap();
    assert_eq!(pieces.concat(), completion.text());
    (pieces.concat(), completion.metadata())
}

#[test]
fn a_prompt_with_template_text_is_what_the_template_would_have_made() {
    let backend = backend();
    let (chat, raw) = (open(&backend), open(&backend));
    let said = say(&backend, chat, "What is your name?").unwrap();
    let (text, metadata) = complete(&backend, raw, QUESTION, json!({}));
    assert_eq!(text, *said);
    assert!(text.contains("Pip"), "{text:?}");
    assert_eq!(metadata["finish_reason"], "eos");
    let known: Value = serde_json::from_str(&backend.output(chat, 1).unwrap()).unwrap();
    assert_eq!(metadata["prompt_tokens"], known["prompt_tokens"]);
    assert_eq!(
        *backend.output(raw, 0).unwrap(),
        text,
        "the context has the result"
    );
    assert_eq!(backend.history(raw).unwrap(), "[]", "and no conversation");
}

#[test]
fn pieces_make_up_the_text_that_comes_whole() {
    let backend = backend();
    let c = open(&backend);
    let config = json!({"max_tokens": 40, "ignore_eos": true, "stop_after": "zzzz"});
    let (whole, _) = complete(&backend, c, QUESTION, config.clone());
    let mut completion = backend.complete(c, prompt(QUESTION, config, true)).unwrap();
    let pieces = rest(&mut completion).unwrap();
    assert!(
        pieces.len() > 10 && pieces.iter().all(|p| !p.is_empty()),
        "{pieces:?}"
    );
    assert_eq!(pieces.concat(), whole);
    assert!(completion.is_ended() && !completion.is_context_full());
    assert_eq!(completion.next_piece(), Ok(None), "and again");
    assert_eq!(completion.metadata()["completion_tokens"], 40);
}

#[test]
fn a_prompt_that_extends_the_one_before_evaluates_what_is_new() {
    let backend = backend();
    let c = open(&backend);
    let (text, first) = complete(&backend, c, QUESTION, json!({}));
    let more = format!(
        "{QUESTION}{text}<|im_end|>\n<|im_start|>user\nHello.<|im_end|>\n<|im_start|>assistant\n"
    );
    let (_, second) = complete(&backend, c, &more, json!({}));
    let n = |of: &Value, key: &str| of[key].as_u64().unwrap();
    assert_eq!(n(&first, "cached_tokens"), 0);
    // The token that ended the answer may be written otherwise by the next prompt.
    let known = n(&first, "prompt_tokens") + n(&first, "completion_tokens") - 1;
    assert!(n(&second, "cached_tokens") >= known, "{second}");
    assert!(n(&second, "prompt_tokens") > n(&second, "cached_tokens"));
}

#[test]
fn a_prompt_without_room_is_refused_and_a_full_context_keeps_its_text() {
    let config = greedy(json!({
        "model": {"ctx_size": 128, "n_predict": -1}, "memory": {"context_shifting": false},
    }));
    let backend = Arc::new(loaded(&config));
    let c = open(&backend);
    let long = "Hello. ".repeat(400);
    let refused = backend.complete(c, prompt(&long, json!({}), false));
    assert!(matches!(refused.err(), Some(Error::PromptTooLong(_))));
    let config = json!({"ignore_eos": true});
    let mut completion = backend.complete(c, prompt(QUESTION, config, true)).unwrap();
    let text = rest(&mut completion).unwrap().concat();
    assert!(completion.is_context_full() && !text.is_empty());
    assert_eq!(*backend.output(c, 0).unwrap(), text);
    assert_eq!(completion.metadata()["finish_reason"], "context_full");
}

#[test]
fn where_it_may_shift_the_middle_of_a_long_prompt_gives_way() {
    let config = greedy(json!({
        "model": {"ctx_size": 128, "n_predict": 16}, "memory": {"n_keep_tokens": 8},
    }));
    let backend = Arc::new(loaded(&config));
    let c = open(&backend);
    let long = format!("{}{QUESTION}", "Hello. ".repeat(400));
    let (text, metadata) = complete(&backend, c, &long, json!({"ignore_eos": true}));
    assert!(
        metadata["prompt_tokens"].as_u64().unwrap() < 128,
        "{metadata}"
    );
    assert!(
        text.contains("Pip"),
        "the end of the prompt is there: {text:?}"
    );
    // A prompt that grows by little loses the same block, so its cells serve again.
    let (_, again) = complete(
        &backend,
        c,
        &format!("{long} "),
        json!({"ignore_eos": true}),
    );
    assert!(again["cached_tokens"].as_u64().unwrap() > 32, "{again}");
}

#[test]
fn an_answer_that_outgrows_its_context_shifts_the_prompt_and_its_own_beginning_away() {
    let config = greedy(json!({
        "model": {"ctx_size": 128, "n_predict": 600}, "memory": {"n_keep_tokens": 8},
    }));
    let backend = Arc::new(loaded(&config));
    let c = open(&backend);
    let (text, metadata) = complete(&backend, c, QUESTION, json!({"ignore_eos": true}));
    assert_eq!(metadata["finish_reason"], "length", "{metadata}");
    assert_eq!(metadata["completion_tokens"], 600);
    // Each time about half of 120 cells.
    let shifts = metadata["shifts"].as_u64().unwrap();
    assert!((7..=11).contains(&shifts), "{metadata}");
    assert!(text.contains("Pip"));
    // Without a limit it ends some time.
    let endless = greedy(json!({
        "model": {"ctx_size": 128, "n_predict": -1}, "memory": {"n_keep_tokens": 8},
    }));
    let backend = Arc::new(loaded(&endless));
    let c = open(&backend);
    let (_, metadata) = complete(&backend, c, QUESTION, json!({"ignore_eos": true}));
    assert_eq!(metadata["finish_reason"], "context_full", "{metadata}");
    assert_eq!(metadata["shifts"], 2);
}

#[test]
fn an_answer_that_shifted_goes_on_after_its_cells_were_taken_away() {
    // One place: an urgent turn takes it, and the other one's cells with it.
    let config = greedy(json!({
        "model": {"ctx_size": 128, "n_predict": 4000},
        "memory": {"n_keep_tokens": 8},
        "performance": {"n_parallel": 1},
    }));
    let backend = Arc::new(loaded(&config));
    let (low, urgent) = (open(&backend), open(&backend));
    backend.set_priority(low, 0).unwrap();
    backend.set_priority(urgent, 3).unwrap();
    let mut long = backend
        .complete(low, prompt(QUESTION, json!({"ignore_eos": true}), true))
        .unwrap();
    let mut text = String::new();
    while text.len() < 400 {
        text.push_str(&long.next_piece().unwrap().unwrap());
    }
    let preempted = || {
        status(&backend, StatusKind::Queue)["preempted"]
            .as_u64()
            .unwrap()
    };
    let mut tries = 0;
    while preempted() == 0 && tries < 20 {
        complete(&backend, urgent, QUESTION, json!({"max_tokens": 4}));
        tries += 1;
    }
    assert!(preempted() > 0, "the low turn never gave way");
    text.push_str(&rest(&mut long).unwrap().concat());
    let metadata = long.metadata();
    assert_eq!(metadata["completion_tokens"], 4000, "{metadata}");
    assert!(metadata["shifts"].as_u64().unwrap() > 30, "{metadata}");
    assert_eq!(metadata["text_bytes"], text.len());
}

#[test]
fn bad_input_is_answered_and_loses_nothing() {
    let backend = backend();
    let c = open(&backend);
    for config in [
        json!({"top_p": 5, "strict": true}),
        json!({"grammar": "root ::= ("}),
    ] {
        let refused = backend.complete(c, prompt(QUESTION, config, false));
        assert!(matches!(refused.err(), Some(Error::InvalidArgument(_))));
    }
    let empty = backend.complete(c, prompt("", json!({}), false));
    assert!(matches!(empty.err(), Some(Error::InvalidArgument(_))));
    let unknown = backend.complete(c + 1000, prompt(QUESTION, json!({}), false));
    assert!(matches!(unknown.err(), Some(Error::UnknownContext(_))));
    assert!(complete(&backend, c, QUESTION, json!({})).0.contains("Pip"));
    // Nothing was asked to be generated.
    let config = greedy(json!({"model": {"n_predict": 0}}));
    let none = Arc::new(loaded(&config));
    let c = open(&none);
    assert_eq!(complete(&none, c, QUESTION, json!({})).0, "");
}

#[test]
fn a_completion_ends_when_it_is_dropped_or_cancelled_and_when_its_context_is_closed() {
    let backend = Arc::new(loaded(&greedy(json!({"model": {"n_predict": 1_000_000}}))));
    let endless = || prompt(QUESTION, json!({"ignore_eos": true}), true);
    let running = || status(&backend, StatusKind::Queue)["running"].clone();
    let idle = || running() == 0;
    let c = open(&backend);
    let mut completion = backend.complete(c, endless()).unwrap();
    completion.next_piece().unwrap();
    drop(completion);
    until("the dropped turn has ended", idle);

    let mut completion = backend.complete(c, endless()).unwrap();
    completion.next_piece().unwrap();
    backend.cancel(c).unwrap();
    assert_eq!(rest(&mut completion), Err(Error::Cancelled));
    assert_eq!(completion.next_piece(), Err(Error::Cancelled), "and again");
    drop(completion);

    let completion = backend.complete(c, endless()).unwrap();
    until("the turn runs", || running() == 1);
    backend.close_context(c).unwrap();
    until("the turn of the closed context has ended", idle);
    drop(completion);
}

#[test]
fn a_completion_that_waits_while_its_model_is_replaced_runs_on_the_next_one() {
    for in_pieces in [true, false] {
        let config = greedy(json!({
            "model": {"n_predict": 1_000_000}, "performance": {"n_parallel": 1},
        }));
        let backend = Arc::new(loaded(&config));
        let endless = prompt(QUESTION, json!({"ignore_eos": true}), true);
        let first = backend.complete(open(&backend), endless).unwrap();
        until("it runs", || {
            status(&backend, StatusKind::Queue)["running"] == 1
        });
        let waits = prompt(QUESTION, json!({"max_tokens": 64}), in_pieces);
        let mut second = backend.complete(open(&backend), waits).unwrap();
        backend.load_file(&pocket("b"), None, None).unwrap();
        let text = rest(&mut second).unwrap().concat();
        assert!(text.contains("Momo"), "{text:?}");
        assert_eq!(second.metadata()["model"], "pocket-b");
        drop(first);
    }
}

#[test]
fn a_turn_that_has_ended_holds_neither_its_model_nor_its_context() {
    let backend = backend();
    let c = open(&backend);
    let mut unread = backend
        .complete(c, prompt(QUESTION, json!({}), true))
        .unwrap();
    let graph = status(&backend, StatusKind::Model)["graph"].clone();
    until("it has ended", || {
        status(&backend, StatusKind::Performance)["turns"]["completed"] != 0
    });
    // Its weights can go: the next load finds the old version without users.
    backend.load_file(&pocket("b"), None, None).unwrap();
    assert_ne!(status(&backend, StatusKind::Model)["graph"], graph);
    assert!(
        rest(&mut unread).unwrap().concat().contains("Pip"),
        "what was said is there"
    );
    assert_eq!(unread.metadata()["graph"], graph);
    assert_eq!(unread.metadata()["finish_reason"], "eos");
    // It is kept, and the context is free.
    let (text, _) = complete(&backend, c, QUESTION, json!({}));
    assert!(text.contains("Momo"), "{text:?}");
    drop(unread);
}

#[test]
fn a_backend_that_is_closed_ends_a_completion_that_nobody_fetches() {
    let backend = Arc::new(loaded(&greedy(json!({"model": {"n_predict": 1_000_000}}))));
    let c = open(&backend);
    let mut completion = backend
        .complete(c, prompt(QUESTION, json!({"ignore_eos": true}), true))
        .unwrap();
    completion.next_piece().unwrap();
    // It would wait for a turn that does not end.
    backend.close().unwrap();
    assert_eq!(completion.next_piece(), Err(Error::Closing));
    assert!(completion.is_ended());
}

#[test]
fn conversations_and_raw_prompts_share_a_context_one_after_the_other() {
    let backend = backend();
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    assert!(complete(&backend, c, QUESTION, json!({})).0.contains("Pip"));
    let recalled = say_with(&backend, c, "What is my name?", "{}").unwrap();
    assert!(recalled.contains("Zorvath"), "{recalled}");
}

#[test]
fn a_model_is_let_go_at_once_where_nobody_changes_models() {
    let backend = backend();
    let graph = backend
        .load_model(b"momo", &pocket("b"), None, None)
        .unwrap();
    assert_eq!(backend.unload_graph_now(graph.0), Ok(true));
    assert_eq!(backend.unload_graph_now(graph.0), Err(Error::NoModel));
}

#[test]
fn a_model_from_bytes_serves_beside_others_under_its_name() {
    let backend = backend();
    let bytes = std::fs::read(pocket("b")).unwrap();
    let open = engine::memory_file(&bytes).unwrap();
    let path = open.path();
    let graph = backend.load_model(b"momo", path, None, None).unwrap();
    let c = backend.open_context(graph.0).unwrap().0;
    assert!(
        complete(&backend, c, QUESTION, json!({}))
            .0
            .contains("Momo")
    );
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let written = std::os::unix::fs::FileExt::write_at(&file, b"x", 0);
    assert!(
        written.is_err() && file.set_len(0).is_err(),
        "nobody can change it"
    );
}
