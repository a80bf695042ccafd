//! From bytes to a document.

use super::*;
use serde_json::json;

fn parse(door: Door, text: impl AsRef<[u8]>) -> Result<Value, String> {
    RawConfig::parse(door, text.as_ref()).map(|raw| raw.root.into())
}

fn is_no_config(door: Door, text: impl AsRef<[u8]>, reason: &str) {
    let error = parse(door, text).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

fn nested(depth: usize) -> String {
    let arrays = depth - 1;
    format!("{{\"a\":{}{}}}", "[".repeat(arrays), "]".repeat(arrays))
}

#[test]
fn the_first_of_two_equal_keys_wins_at_every_depth() {
    let text = r#"{"a":1,"b":{"c":[{"d":1,"d":2}],"c":3},"a":{"x":[1]}}"#;
    let expect = json!({"a":1,"b":{"c":[{"d":1}]}});
    assert_eq!(parse(Door::Init, text), Ok(expect));
}

#[test]
fn equal_keys_are_compared_after_their_escapes() {
    let text = r#"{"\u0061":1,"a":2}"#;
    assert_eq!(parse(Door::Run, text), Ok(json!({"a":1})));
}

#[test]
fn every_json_type_arrives_unchanged() {
    let text =
        r#"{"a":null,"b":true,"c":-7,"d":18446744073709551615,"e":0.5,"f":"x","g":[],"h":{}}"#;
    let expect: Value = serde_json::from_str(text).unwrap();
    assert_eq!(parse(Door::Load, text), Ok(expect));
}

#[test]
fn nesting_counts_up_to_128() {
    for door in [Door::Init, Door::Load, Door::Run] {
        assert!(parse(door, nested(128)).is_ok());
        is_no_config(door, nested(129), "nested deeper than 128");
        is_no_config(door, nested(10_000), "nested deeper than 128");
        is_no_config(door, "{\"a\":".repeat(10_000), "nested deeper than 128");
    }
    assert!(parse(Door::Init, format!("{{\"a\":\"{}\"}}", "[{".repeat(500))).is_ok());
}

#[test]
fn what_is_no_object_is_no_config() {
    for door in [Door::Init, Door::Load, Door::Run] {
        for text in [
            "[]",
            "5",
            "\"x\"",
            "null",
            "true",
            "x",
            "}",
            "]",
            "\u{feff}{}",
        ] {
            is_no_config(door, text, "the root is not an object");
        }
        for text in ["", "  \n", "\0"] {
            is_no_config(door, text, "empty");
        }
        is_no_config(door, vec![b'x'; 1 << 20], "the root is not an object");
    }
}

#[test]
fn a_text_cut_anywhere_is_no_config() {
    let text = r#"{"sampling":{"temp":0.5,"stop":["a\"b"]},"strict":false}"#;
    for end in 0..text.len() {
        for door in [Door::Init, Door::Load, Door::Run] {
            assert!(parse(door, &text[..end]).is_err(), "{}", &text[..end]);
        }
    }
}

#[test]
fn broken_json_is_no_config() {
    for text in [
        "{\"a\":invalid}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":[1}]",
        "{\"a\":1]",
        "{\"a\" 1}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":01}",
    ] {
        is_no_config(Door::Init, text, "not JSON");
    }
}

#[test]
fn a_number_beyond_all_floats_is_a_matter_of_its_key_alone() {
    for door in [Door::Init, Door::Load, Door::Run] {
        let text = r#"{"a":1e999,"b":[-2E+400,"1e999","\"1e999"],"c":1}"#;
        let expect = json!({"a":f64::MAX,"b":[-f64::MAX,"1e999","\"1e999"],"c":1});
        assert_eq!(parse(door, text), Ok(expect));
        for broken in ["{\"a\":01e999}", "{\"a\":1.e999}", "{\"a\":1e999 2}"] {
            is_no_config(door, broken, "not JSON");
        }
    }
    check(
        r#"{"use_mmap":1e999}"#,
        Code::WrongType,
        "use_mmap: expected boolean, found number",
    );
}

#[test]
fn text_that_is_not_utf_8_is_no_config() {
    is_no_config(Door::Init, b"{\"a\":\"\xff\"}", "not UTF-8");
    is_no_config(Door::Run, b"{\"a\":\"\xc3\"}", "not UTF-8");
}

#[test]
fn unicode_keys_and_blanks_are_fine() {
    let text = " \t\r\n{\"\u{e9}\u{4e16}\" : 1}\n \0";
    assert_eq!(parse(Door::Run, text), Ok(json!({"\u{e9}\u{4e16}": 1})));
}

#[test]
fn a_nul_ends_the_text_at_init_and_load() {
    for door in [Door::Init, Door::Load] {
        assert_eq!(parse(door, b"{\"a\":1}\0\xff{"), Ok(json!({"a":1})));
        is_no_config(door, b"{\"a\"\0:1}", "ends inside the object");
    }
}

#[test]
fn a_call_may_count_one_nul_at_the_end_and_no_other() {
    assert_eq!(parse(Door::Run, b"{\"a\":1}\0"), Ok(json!({"a":1})));
    is_no_config(Door::Run, b"{\"a\":1}\0\0", "text after the object");
    is_no_config(Door::Run, b"{\"a\":1}\0 ", "text after the object");
    is_no_config(Door::Run, b"{\"a\"\0:1}", "not JSON");
}

#[test]
fn trailing_text_is_ignored_with_a_finding_except_in_a_call() {
    let message = "$: 4 bytes after the root object, ignored";
    check_at(Door::Init, "{\"temp\":1} {\"x]\n", Code::WrongType, message);
    check_at(Door::Load, "{\"temp\":1}]]]x", Code::WrongType, message);
    is_no_config(Door::Run, r#"{"temp":1} x"#, "text after the object");
    assert!(parse(Door::Run, "{\"temp\":1} \r\n\t").is_ok());
    let (config, _) = init("{\"temp\":1} tail");
    assert_eq!(config.sampling.temp, 1.0);
}

#[test]
fn texts_have_a_longest_length() {
    let text = |len: usize| format!("{{{}}}", " ".repeat(len - 2));
    assert!(parse(Door::Run, text(1 << 20)).is_ok());
    is_no_config(Door::Run, text((1 << 20) + 1), "at most 1048576");
    assert!(parse(Door::Init, text(16 << 20)).is_ok());
    is_no_config(Door::Load, text((16 << 20) + 1), "at most 16777216");
}
