//! Outputs as models write them, token by token.

use proptest::prelude::*;

use super::super::format::detect;
use super::*;

/// Tokens without a text.
const CONTROL: [&str; 8] = [
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|end|>",
    "<|constrain|>",
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    "<|START_RESPONSE|>",
];

/// Tokens with a text of their own that is a mark.
const DEFINED: [&str; 2] = ["<mm:think>", "</mm:think>"];

fn single(text: &str) -> Option<i32> {
    let all = CONTROL.iter().chain(&DEFINED);
    all.zip(0..).find(|(t, _)| **t == text).map(|(_, id)| id)
}

/// What an output in the format of `template` behind `prompt` is sorted into: thought, answer, and those tokens that are whole
/// of the answer.
fn sort(template: &str, prompt: &str, output: &[&str]) -> (Option<String>, String, String) {
    let format = detect(template, single).unwrap();
    let mut splitter = Splitter::new(Arc::new(format), prompt);
    let (mut answer, mut whole) = (Vec::new(), String::new());
    let mut waiting = Vec::new();
    for piece in output {
        let token = single(piece).unwrap_or(1000);
        let bytes = if CONTROL.contains(piece) { "" } else { piece };
        match splitter.feed(token, bytes.as_bytes()) {
            Part::Hidden => waiting.clear(),
            Part::Held => waiting.push(*piece),
            Part::Answer {
                text,
                held,
                is_whole,
            } => {
                if held.is_empty() {
                    // They were of the mark that the same token completes.
                    waiting.clear();
                }
                let lengths: Vec<usize> = waiting.iter().map(|piece| piece.len()).collect();
                assert_eq!(held, lengths);
                whole.extend(waiting.drain(..));
                answer.extend(text);
                if is_whole {
                    whole.push_str(bytes);
                }
            }
        }
    }
    if let Part::Answer { text, .. } = splitter.finish() {
        answer.extend(text);
        whole.extend(waiting);
    }
    (
        splitter.thought(),
        String::from_utf8(answer).unwrap(),
        whole,
    )
}

const THINK: &str = "<think></think>";

#[test]
fn a_thought_in_text_is_told_from_the_answer_wherever_tokens_end() {
    let check = |prompt: &str, output: &[&str], thought: Option<&str>, answer: &str| {
        let (found, text, _) = sort(THINK, prompt, output);
        assert_eq!((found.as_deref(), &*text), (thought, answer), "{output:?}");
    };
    check(
        "",
        &["<", "think", ">\nhm", "</th", "ink>", "\n\n", "yes"],
        Some("hm"),
        "yes",
    );
    check("", &["\n<think>hm</think>yes"], Some("hm"), "yes");
    check("<think>\n", &["hm", "</think>\n", "yes"], Some("hm"), "yes");
    check(
        "<think>\n",
        &["<think>", "hm</think>", "yes"],
        Some("hm"),
        "yes",
    );
    check(
        "<think>\n",
        &["hm", " it is </thi"],
        Some("hm it is </thi"),
        "",
    );
    check(
        "<think>\n",
        &["</think>", "\n", "yes ", "no"],
        None,
        "yes no",
    );
    // Nothing of this is a thought.
    check("", &[" ", "<", "b>bold</b>"], None, " <b>bold</b>");
    check(
        "",
        &["yes <think>no</think>"],
        None,
        "yes <think>no</think>",
    );
    check("", &["<thi"], None, "<thi");
    check("", &["\n", "\n"], None, "\n\n");
    check("<think>\n\n</think>\n\n", &["yes"], None, "yes");
}

#[test]
fn tokens_that_are_whole_of_the_answer_are_known() {
    let whole = |output: &[&str]| sort(THINK, "", output).2;
    assert_eq!(
        whole(&["<think>hm", "</think>", "\n", "yes", " no"]),
        "yes no"
    );
    // The token that ends the thought begins the answer.
    assert_eq!(whole(&["<think>hm", "</think>yes", " no"]), " no");
    assert_eq!(whole(&[" ", "<", "b>"]), " <b>");
}

#[test]
fn marks_that_are_tokens_count_as_tokens_only() {
    let cohere = "<|START_THINKING|><|END_THINKING|>";
    let output = [
        "<|START_THINKING|>",
        "hm",
        "<|END_THINKING|>",
        "<|START_RESPONSE|>",
        "yes",
    ];
    assert_eq!(
        sort(cohere, "", &output),
        (Some("hm".into()), "yes".into(), "yes".into())
    );
    let answer = ["<|START_RESPONSE|>", "yes"];
    assert_eq!(sort(cohere, "", &answer).1, "yes");
    let defined = "<mm:think></mm:think>";
    let output = ["<mm:think>", "a </mm:", "think> b", "</mm:think>", "yes"];
    let (thought, answer, _) = sort(defined, "", &output);
    assert_eq!(
        (thought.as_deref(), &*answer),
        (Some("a </mm:think> b"), "yes")
    );
}

#[test]
fn of_harmony_the_final_channel_is_the_answer() {
    let check = |prompt: &str, output: &str, thought: Option<&str>, answer: &str| {
        // Words and control tokens.
        let mut pieces = Vec::new();
        let mut rest = output;
        while !rest.is_empty() {
            let control = CONTROL.iter().find(|c| rest.starts_with(**c));
            let next = rest[1..].find(['<', ' ']).map_or(rest.len(), |at| at + 1);
            let length = control.map_or(next, |c| c.len());
            pieces.push(&rest[..length]);
            rest = &rest[length..];
        }
        let (found, text, _) = sort("<|channel|>", prompt, &pieces);
        assert_eq!((found.as_deref(), &*text), (thought, answer), "{output}");
    };
    let start = "<|start|>assistant";
    check(
        start,
        "<|channel|>analysis<|message|>We think.<|end|><|start|>assistant<|channel|>final<|message|>Yes it is.",
        Some("We think."),
        "Yes it is.",
    );
    check(
        start,
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>\
         <|start|>assistant<|channel|>final <|constrain|>json<|message|>{}",
        Some("a\nb"),
        "{}",
    );
    check(
        start,
        " to=functions.get<|channel|>commentary json<|message|>{\"a\": 1}",
        Some("{\"a\": 1}"),
        "",
    );
    check(start, "<|channel|>final<|message|>Yes.", None, "Yes.");
    check(start, "Yes it is.", None, "Yes it is.");
    check(start, "<|message|>Yes.", None, "Yes.");
    check(start, "<|channel|>ana", None, "");
    check(start, " to", None, " to");
    let final_ = "<|start|>assistant<|channel|>final<|message|>";
    check(final_, "Yes.", None, "Yes.");
    let analysis = "<|start|>assistant<|channel|>analysis<|message|>";
    check(
        analysis,
        "a<|end|><|start|>assistant<|channel|>final<|message|>b",
        Some("a"),
        "b",
    );
}

#[test]
fn before_the_answer_only_what_is_none_of_it_may_pass() {
    let format = Arc::new(detect(THINK, |_| None).unwrap());
    let mut splitter = Splitter::new(format, "<think>\n");
    splitter.feed(7, b"hm</think>");
    assert!(!splitter.is_thinking());
    assert!(splitter.would_wait(7, b"\n\n") && !splitter.would_wait(7, b"{"));
    for _ in 0..=MOST_IDLE {
        splitter.feed(7, b"\n");
    }
    assert!(!splitter.would_wait(7, b"\n"));
    splitter.begin_answer();
    assert_eq!(
        splitter.feed(7, b"\n"),
        Part::Answer {
            text: b"\n".into(),
            held: Vec::new(),
            is_whole: true
        }
    );
}

proptest! {
    #[test]
    fn where_tokens_end_changes_nothing(
        cuts in prop::collection::vec(0usize..60, 0..12),
        thought in "[a-z<>/]{0,8}",
        answer in "[a-z<>/ ]{0,12}",
        is_open in any::<bool>(),
    ) {
        let open = if is_open { "" } else { "<think>" };
        let prompt = if is_open { "<think>" } else { "" };
        let output = format!("{open}{thought}</think>{answer}");
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (output.len() + 1)).collect();
        cuts.extend([0, output.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&str> = cuts.windows(2).map(|w| &output[w[0]..w[1]]).collect();
        let (found, text, _) = sort(THINK, prompt, &pieces);
        let whole = sort(THINK, prompt, &[output.as_str()]);
        prop_assert_eq!((found, text.as_str()), (whole.0, whole.1.as_str()));
        if !thought.contains("</think>") && !thought.starts_with('<') {
            prop_assert_eq!(text, answer.trim_start());
        }
    }
}
