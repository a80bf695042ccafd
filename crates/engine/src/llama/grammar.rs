//! Grammars as text: JSON schema to GBNF, and a check of GBNF before llama.cpp parses it.
//!
//! llama.cpp's parser prints its errors and the whole grammar to stderr, recurses as deep as the text nests, and runs
//! nearly for ever on `{5,3}`. So its parser is mirrored here, rule for rule (src/llama-grammar.cpp of the pinned
//! version): a text that passes is one that it accepts, and texts that it would read in thousands of ways at once are
//! looked for. Knows no sampler.

mod expand;
mod parse;
mod schema;
mod stacks;

use std::cell::Cell;

use crate::error::{Error, Result};

use super::Vocab;

/// The longest grammar and schema.
const TEXT_LIMIT_BYTES: usize = 256 * 1024;
/// How deep groups, and the values of a schema, may nest: both parsers recurse.
const DEPTH_LIMIT: usize = 64;

/// Turns a JSON schema into a GBNF grammar with the root `root`.
///
/// Errors: `TooLarge`; `InvalidArgument` for text that is not JSON, nests too deep, or says what has no grammar, with
/// the keyword and its path, or has one that is too long.
pub(crate) fn json_schema_to_grammar(schema: &str) -> Result<String> {
    check_length("json_schema", schema)?;
    if nesting(schema) > DEPTH_LIMIT {
        return Err(Error::InvalidArgument(format!(
            "json_schema nests deeper than {DEPTH_LIMIT}"
        )));
    }
    let invalid = |reason: String| Error::InvalidArgument(format!("json_schema: {reason}"));
    let schema = serde_json::from_str(schema).map_err(|e| invalid(e.to_string()))?;
    schema::to_grammar(&schema).map_err(invalid)
}

/// Whether a grammar speaks of single tokens, and not of text alone. Text that looks like it counts too.
pub(super) fn names_tokens(grammar: &str) -> bool {
    if !grammar.contains('<') {
        return false;
    }
    let has_names = Cell::new(grammar.contains("<["));
    // One that does not parse names none.
    drop(parse::rules(grammar, |_| {
        has_names.set(true);
        true
    }));
    has_names.get()
}

/// Checks a GBNF grammar with the root `root`.
///
/// Errors: `TooLarge`; `InvalidArgument` with the line and what was expected there, or the rule and what is wrong with
/// it.
pub(super) fn check(vocab: &Vocab, grammar: &str) -> Result<()> {
    check_length("grammar", grammar)?;
    if vocab.has_checked(grammar) {
        return Ok(());
    }
    let rules = parse::rules(grammar, |token| {
        vocab
            .tokenize(token, super::Special::Parse)
            .is_ok_and(|tokens| tokens.len() == 1)
    });
    rules
        .and_then(|rules| expand::check(&rules))
        .map_err(|reason| Error::InvalidArgument(format!("grammar: {reason}")))?;
    vocab.note_checked(grammar);
    Ok(())
}

fn check_length(what: &'static str, text: &str) -> Result<()> {
    if text.len() > TEXT_LIMIT_BYTES {
        return Err(Error::TooLarge {
            what,
            limit: TEXT_LIMIT_BYTES,
        });
    }
    Ok(())
}

/// How deep brackets and braces nest outside strings.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_schema_becomes_a_grammar_and_its_errors_are_named() {
        let grammar = json_schema_to_grammar(
            r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#,
        )
        .unwrap();
        assert!(grammar.contains("root ::="), "{grammar}");
        let rules = parse::rules(&grammar, |_| false).unwrap();
        assert_eq!(expand::check(&rules), Ok(()));

        let check = |schema: &str, expect: &str| {
            let error = json_schema_to_grammar(schema).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("{", "EOF while parsing");
        check("", "EOF while parsing");
        check(r#"{"type": 3}"#, "type at $ is 3, must be null");
        check(&"[".repeat(10_000), "nests deeper than 64");
        check(&"x".repeat(TEXT_LIMIT_BYTES + 1), "more than 262144 bytes");
    }
}
