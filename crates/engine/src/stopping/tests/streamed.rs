//! What leaves an answer, against the same cut of its whole text: random texts, token borders and stop strings.

use super::*;
use proptest::prelude::*;

/// An answer in bytes, which may end inside a character, and its stop strings.
#[derive(Debug)]
struct Case {
    bytes: Vec<u8>,
    stop: Vec<String>,
}

/// Stop strings are parts of a text, and the answer is its beginning: most overlap, many begin and do not end. Two of
/// the characters differ in their last byte only.
fn case() -> impl Strategy<Value = Case> {
    let text = prop_oneof![
        "[ab\u{e9}\u{e8}\u{20ac}\u{1f600}]{1,24}",
        "[a\u{e9}\u{e8}]{1,12}"
    ];
    let parts = prop::collection::vec((0usize..24, 1usize..9), 0..5);
    (text, parts, 0usize..12).prop_map(|(text, parts, missing)| {
        let characters: Vec<char> = text.chars().collect();
        let part = |(begin, length)| {
            let rest = characters.iter().skip(begin % characters.len());
            rest.take(length).collect()
        };
        let mut bytes = text.clone().into_bytes();
        bytes.truncate(bytes.len().saturating_sub(missing));
        Case {
            bytes,
            stop: parts.into_iter().map(part).collect(),
        }
    })
}

/// The text before the first stop string.
fn before_stop<'a>(text: &'a str, stop: &[String]) -> &'a str {
    let begins = stop.iter().filter_map(|s| text.find(s.as_str()));
    &text[..begins.min().unwrap_or(text.len())]
}

proptest! {
    #[test]
    fn what_leaves_is_the_text_before_the_first_stop_string_whatever_the_tokens(
        case in case(),
        cuts in prop::collection::vec(0usize..60, 0..20),
        takes in prop::collection::vec(any::<bool>(), 1..5),
    ) {
        let Case { bytes, stop } = case;
        let whole = match str::from_utf8(&bytes) {
            Ok(whole) => whole,
            Err(error) => str::from_utf8(&bytes[..error.valid_up_to()]).unwrap(),
        };
        let expect = before_stop(whole, &stop);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();

        let settings = config::Stopping { stop, ..Default::default() };
        let mut watch = Watch::new(Arc::new(Rules::compile(&settings, Named::default()).unwrap()));
        let mut streamed = String::new();
        for (pair, take) in cuts.windows(2).zip(takes.into_iter().cycle()) {
            let verdict = watch.piece(0, &bytes[pair[0]..pair[1]], Duration::ZERO);
            if take {
                streamed.extend(watch.take());
                prop_assert!(expect.starts_with(&streamed), "{streamed:?} left too early");
            }
            if let Some(Verdict::Stop(text)) = verdict {
                prop_assert!(whole[expect.len()..].starts_with(&text));
                break;
            }
        }
        watch.finish(Verdict::Eos);
        streamed.extend(watch.take());
        prop_assert_eq!(&streamed, expect);
        prop_assert_eq!(watch.answer(), expect);
        prop_assert_eq!(watch.take(), None);
    }
}
