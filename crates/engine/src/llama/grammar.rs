//! Grammars: JSON schema to GBNF, GBNF to code, and code to the tokens that may come next.
//!
//! The language is llama.cpp's, rule for rule (src/llama-grammar.cpp of the pinned version), and its own reader of it is
//! not used: its parser prints its errors and the whole grammar to stderr, recurses as deep as the text nests, and runs
//! nearly for ever on `{5,3}`; its matcher follows each of several ways of reading a token by itself, without a bound,
//! and ends the process on a token that it does not allow. Knows no sampler.

mod code;
mod expand;
mod matcher;
mod parse;
mod pieces;
mod reading;
mod schema;
mod stacks;
mod utf8;

use std::sync::Arc;

use crate::error::{Error, Result};

use super::Vocab;

pub(super) use code::Code;
pub(super) use matcher::{Matcher, Words};
pub(super) use pieces::Pieces;

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

/// The code of a GBNF grammar with the root `root`.
///
/// Errors: `TooLarge`; `InvalidArgument` with the line and what was expected there, or the rule and what is wrong with
/// it.
pub(super) fn compile(vocab: &Vocab, grammar: &str) -> Result<Arc<Code>> {
    check_length("grammar", grammar)?;
    if let Some(code) = vocab.compiled(grammar) {
        return Ok(code);
    }
    let token = |name: &str| {
        let tokens = vocab.tokenize(name, super::Special::Parse);
        tokens.ok().filter(|tokens| tokens.len() == 1)
    };
    let rules = parse::rules(grammar, |name| token(name).is_some());
    let code = rules.and_then(|rules| {
        expand::check(&rules)?;
        let id = |name: &str| match name
            .strip_prefix("<[")
            .and_then(|name| name.strip_suffix("]>"))
        {
            // A number that no token has is read by none.
            Some(number) => number.parse().unwrap_or(-1),
            None => token(name).map_or(-1, |tokens| tokens[0].0),
        };
        Ok(Arc::new(Code::new(&rules, rules.names["root"], id)))
    });
    let code = code.map_err(|reason| Error::InvalidArgument(format!("grammar: {reason}")))?;
    vocab.note_compiled(grammar, &code);
    Ok(code)
}

/// A grammar at the beginning of a text in tokens of `vocab`.
///
/// Errors: as `compile`, and `InvalidArgument` for one that begins in too many ways.
pub(super) fn matcher(vocab: &Vocab, grammar: &str) -> Result<Matcher> {
    Matcher::new(compile(vocab, grammar)?, vocab.words())
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
