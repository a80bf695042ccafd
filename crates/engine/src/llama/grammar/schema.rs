//! JSON Schema to GBNF: what each keyword promises is either in the grammar or refused with its path.
//!
//! llama.cpp has a converter (common/json-schema-to-grammar.cpp of the pinned version), and it is not used: it leaves
//! out silently what it does not know, a name of 100,000 letters overflows its stack, and some of its grammars are
//! wrong. `minimum: 100` alone admits 10, strings may hold halves of surrogate pairs, numbers may end in `e9999999999`,
//! patterns may break out of their string, and the definitions `a b` and `a_b` are one to it.
//!
//! Here a schema is read into values (`node`), `allOf` and `oneOf` are resolved (`merge`), what no text could ever
//! satisfy is refused (`finite`), and the rest is written down (`write`). The space between tokens is llama.cpp's.
//! Knows no vocabulary; references never leave the document.

mod class;
mod finite;
mod keywords;
mod merge;
mod node;
mod path;
mod pattern;
mod range;
mod read;
mod text;
mod write;

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::TEXT_LIMIT_BYTES;

/// Completes the sentence that begins with `json_schema: `.
type Checked<T> = std::result::Result<T, String>;

/// How often something may be repeated by `maxItems`, `maxLength` and their like.
const COUNT_LIMIT: u64 = 10_000;
/// Definitions that references may lead to, those that `allOf` makes of pairs of them included.
const DEFINITIONS_LIMIT: usize = 1000;
/// Properties of one object: the stacks of a grammar grow with the optional ones.
const PROPERTIES_LIMIT: usize = 256;
/// Bytes of a property's name: names become trees of characters.
const NAME_LIMIT_BYTES: usize = 256;
/// Steps of resolving `allOf` and `oneOf`, whose combinations may grow exponentially: well below a second.
const STEPS_LIMIT: usize = 500_000;
/// How deep resolving may recurse, and what it makes may nest, for stacks of 2 MiB.
const RESOLVE_DEPTH_LIMIT: usize = 200;

/// The grammar of the JSON texts that satisfy `schema`, with the root `root`.
pub(super) fn to_grammar(schema: &Value) -> Checked<String> {
    let document = read::document(schema)?;
    let document = merge::resolve(document)?;
    finite::check(&document)?;
    write::grammar(&document)
}
