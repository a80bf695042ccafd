//! Turns with images, through a projector that nobody trained: noise, but the same noise for the same image.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Tokens that the projector makes of an image.
const OF_ONE: u64 = 4;

fn projector() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    format!("{root}/../../models/forged-projector.gguf")
}

/// A BMP of 32 x 32 pixels, unlike those of other seeds.
fn picture(seed: u8) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for number in [54 + 32 * 32 * 3, 0, 54, 40, 32, 32] {
        bytes.extend(u32::to_le_bytes(number));
    }
    // One plane of 24 bits for each pixel, nothing packed.
    for number in [1, 24] {
        bytes.extend(u16::to_le_bytes(number));
    }
    bytes.extend([0; 24]);
    let pixel = |at: u32| (at as u8).wrapping_mul(seed.wrapping_mul(2) | 1);
    bytes.extend((0..32 * 32 * 3).map(pixel));
    bytes
}

/// The picture as a text has it.
fn written(bytes: &[u8]) -> String {
    let code = STANDARD.encode(bytes);
    format!("<img src=\"data:image/bmp;base64,{code}\">")
}

/// A question with this in its middle.
fn about(what: &str) -> String {
    format!("<|im_start|>user\nWhat is {what}?<|im_end|>\n<|im_start|>assistant\n")
}

/// A picture in a file, removed with it.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str, bytes: &[u8]) -> Kept {
        let name = format!("wasi-nn-picture-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        Kept(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One that tells how likely its tokens were.
fn seeing() -> Guest {
    Guest::calm(json!({
        "mmproj": projector(), "threads": 1, "n-probs": 4, "n-predict": 4, "ignore-eos": true,
    }))
}

#[test]
fn a_picture_in_the_text_and_one_in_a_file_are_seen_alike() {
    let guest = seeing();
    let ask = |text: &str| {
        let said = guest.ask(text);
        let told = guest.told();
        let tokens = told["input_tokens"].as_u64().unwrap();
        (said, told["logprobs"].clone(), tokens)
    };
    let (_, _, plain) = ask(&about(""));
    let (said, odds, tokens) = ask(&about(&written(&picture(1))));
    assert_eq!(tokens, plain + OF_ONE);
    assert!(odds.is_array());
    assert_ne!(ask(&about(&written(&picture(2)))).1, odds);
    let file = Kept::new("one", &picture(1));
    guest.configure(json!({"image": file.path()})).unwrap();
    for place in ["<__media__>", "<image>"] {
        let again = ask(&about(place));
        assert_eq!((&again.0, again.2), (&said, tokens), "{place}");
    }
    let other = written(&picture(2));
    let (_, _, both) = ask(&about(&format!("<__media__>{other}")));
    assert_eq!(both, plain + 2 * OF_ONE);
    guest.configure(json!({"image": null})).unwrap();
    let (_, _, as_text) = ask(&about("<__media__>"));
    assert!(as_text > plain, "a mark of nothing is text");
}

#[test]
fn a_streamed_turn_sees_what_a_computed_one_does() {
    let guest = seeing();
    let text = about(&written(&picture(3)));
    let whole = guest.ask(&text);
    guest.prompt(&text);
    let (pieces, end) = guest.stream();
    assert_eq!((pieces.concat(), end), (whole, Failure::EndOfSequence));
}

#[test]
fn images_that_cannot_be_seen_are_refused_and_the_context_goes_on() {
    let refused = |guest: &Guest, text: &str| {
        guest.prompt(text);
        compute(guest.me, guest.context).unwrap_err()
    };
    let blind = Guest::calm(json!({}));
    let failure = refused(&blind, &about(&written(&picture(1))));
    assert!(matches!(failure, Failure::InvalidArgument(_)), "{failure}");
    assert!(blind.configure(json!({"image": "a.png"})).is_err());
    assert!(blind.ask(QUESTION).contains("Pip"));
    let guest = seeing();
    let failure = refused(&guest, &about(&written(b"no picture at all")));
    assert!(matches!(failure, Failure::InvalidArgument(_)), "{failure}");
    let missing = json!({"image": "/nowhere/a.png"});
    guest.configure(missing).unwrap();
    let failure = refused(&guest, &about(""));
    assert!(matches!(failure, Failure::ModelNotFound(_)), "{failure}");
    let wrong = guest.configure(json!({"mmproj": "/nowhere.gguf"}));
    assert!(matches!(wrong, Err(Failure::ModelNotFound(_))), "{wrong:?}");
    guest.configure(json!({"image": null})).unwrap();
    guest.ask(&about(&written(&picture(1))));
}

#[test]
fn a_prompt_with_an_image_never_shifts() {
    let guest = Guest::calm(json!({
        "mmproj": projector(), "ctx-size": 128, "ctx-shift": true, "n-keep": 4, "n-predict": 16,
    }));
    let long = "Hello. ".repeat(300);
    guest.prompt(&format!("{long}{QUESTION}"));
    assert_eq!(compute(guest.me, guest.context), Ok(()));
    guest.prompt(&format!("{}{long}{QUESTION}", written(&picture(1))));
    let failure = compute(guest.me, guest.context).unwrap_err();
    assert!(matches!(failure, Failure::PromptTooLong(_)), "{failure}");
}

#[test]
fn graphs_with_one_projector_share_a_model_and_others_do_not() {
    let (one, other) = (seeing(), seeing());
    let blind = Guest::calm(json!({"threads": 1}));
    let number = |guest: &Guest| GRAPHS.get(guest.me, guest.graph).unwrap().model.graph;
    assert_eq!(number(&one), number(&other));
    assert_ne!(number(&one), number(&blind));
}
