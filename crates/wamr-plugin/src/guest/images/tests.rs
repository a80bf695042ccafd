//! Where images stand in a prompt, and which are refused.

use std::fs;
use std::path::PathBuf;

use super::super::account::Account;
use super::super::settings::Settings;
use super::super::source::Source;
use super::*;

/// A folder with the files `one` and `two`, a model and a projector, removed with it.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let name = format!("wasi-nn-images-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        for (name, content) in [("one", "1"), ("two", "22"), ("m", "GGUF"), ("p", "GGUF")] {
            fs::write(path.join(name), content).unwrap();
        }
        Root(path)
    }

    fn place_in(&self, most: u64, text: &str, config: &str) -> Result<Placed, Failure> {
        let names = Names::read(None, self.0.to_str(), None).0;
        let source = Source::named(&names, "m").unwrap();
        let settings = Settings::read(config.as_bytes(), &names, &source).unwrap();
        let room = Arc::new(Account::new(most)).share();
        place(text.into(), &settings.options, &names, room)
    }

    fn place(&self, text: &str, config: &str) -> Result<Placed, Failure> {
        self.place_in(1 << 20, text, config)
    }

    /// What `text` becomes, with `*` for a mark, and the images.
    fn check(&self, text: &str, config: &str, expect: &str, images: &[&str]) {
        let placed = self.place(text, config).unwrap();
        assert_eq!(placed.text.replace(IMAGE_MARK, "*"), expect);
        let found: Vec<&[u8]> = placed.images.iter().map(|image| &**image).collect();
        let images: Vec<&[u8]> = images.iter().map(|image| image.as_bytes()).collect();
        assert_eq!(found, images, "{text}");
        assert_eq!(placed.room.is_some(), !images.is_empty());
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NONE: &str = r#"{"mmproj": "p"}"#;
const ONE: &str = r#"{"mmproj": "p", "image": "one"}"#;
const TWO: &str = r#"{"mmproj": "p", "image": ["two", "one"]}"#;

/// "in" and "by" in base 64.
const IN: &str = r#"<img src="data:image/png;base64,aW4=">"#;
const BY: &str = r#"<img src="data:image/svg+xml;base64,Ynk" alt="b" />"#;

#[test]
fn files_stand_at_the_marks_or_in_front() {
    let root = Root::new("files");
    root.check("a", ONE, "*a", &["1"]);
    root.check("a", TWO, "**a", &["22", "1"]);
    root.check("a <__media__> b<__media__>", TWO, "a * b*", &["22", "1"]);
    root.check("a <image> b", ONE, "a * b", &["1"]);
    root.check("<image>a<image>", TWO, "*a*", &["22", "1"]);
    root.check("a <image> b", TWO, "**a <image> b", &["22", "1"]);
    root.check("<image><__media__>", ONE, "<image>*", &["1"]);
}

#[test]
fn pictures_stand_where_they_are_written() {
    let root = Root::new("pictures");
    root.check(&format!("a{IN}b{BY}c"), NONE, "a*b*c", &["in", "by"]);
    root.check(&format!("{BY}{IN}"), NONE, "**", &["by", "in"]);
    root.check(&format!("a{IN}b"), ONE, "*a*b", &["1", "in"]);
    let mixed = format!("{IN}<__media__>{BY}<__media__>");
    root.check(&mixed, TWO, "****", &["in", "22", "by", "1"]);
    root.check(&format!("<image>{IN}"), NONE, "<image>*", &["in"]);
}

#[test]
fn a_text_without_images_stays_as_it_is() {
    let root = Root::new("without");
    for text in [
        "",
        "a",
        "<image>",
        r#"<img src="data:image/png""#,
        r#"<img src="data:image/svg+xml;utf8,<svg>">"#,
        r#"<img src="https://example.com/a.png">"#,
        "<img src=\"data:image/\u{e9};base64,aW4=\">",
    ] {
        root.check(text, NONE, text, &[]);
        root.check(text, "{}", text, &[]);
    }
    let placed = root.place("a <__media__>", NONE).unwrap();
    assert_eq!((&*placed.text, placed.images.len()), ("a <__media__>", 0));
}

#[test]
fn what_cannot_be_placed_is_refused() {
    let root = Root::new("refused");
    let wrong = |text: &str, config: &str| {
        let failure = root.place(text, config).map(drop).unwrap_err();
        assert!(
            matches!(failure, Failure::InvalidArgument(_)),
            "{text}: {failure}"
        );
    };
    wrong(IN, "{}");
    wrong("<__media__>", TWO);
    wrong("<__media__><__media__>", ONE);
    wrong(&format!("<__media__>{IN}"), NONE);
    wrong(&IN.repeat(MOST + 1), NONE);
    wrong(r#"<img src="data:image/png;base64,aW4="#, NONE);
    wrong(r#"<img src="data:image/png;base64,aW4=""#, NONE);
    wrong(r#"<img src="data:image/png;base64,aW4=" <b>"#, NONE);
    wrong(r#"<img src="data:image/png;base64,aW 4=">"#, NONE);
    root.check(&IN.repeat(MOST), NONE, &"*".repeat(MOST), &["in"; MOST]);
}

#[test]
fn files_of_images_are_found_by_the_policy_and_bounded() {
    let root = Root::new("policy");
    let place = |image: &str| {
        let config = format!(r#"{{"mmproj": "p", "image": "{image}"}}"#);
        root.place("", &config).map(drop).unwrap_err()
    };
    assert!(matches!(place("../one"), Failure::Refused(_)));
    assert!(matches!(place("/etc/passwd"), Failure::Refused(_)));
    assert!(matches!(place("three"), Failure::ModelNotFound(_)));
    let large = fs::File::create(root.0.join("large")).unwrap();
    large.set_len(LONGEST + 1).unwrap();
    assert!(matches!(place("large"), Failure::InvalidArgument(_)));
}

#[test]
fn images_take_room_together() {
    let root = Root::new("room");
    let fits = |most, text: &str, config| match root.place_in(most, text, config) {
        Ok(_) => true,
        Err(Failure::Busy(_)) => false,
        Err(other) => panic!("{other}"),
    };
    assert!(fits(3, "", TWO) && !fits(2, "", TWO));
    assert!(fits(6, IN, TWO) && !fits(5, IN, TWO));
    assert!(fits(3, IN, NONE) && !fits(2, IN, NONE));
}
