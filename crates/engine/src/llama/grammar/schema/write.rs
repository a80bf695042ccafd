//! The grammar of a resolved schema.
//!
//! Every node becomes a rule with a number, every definition one with its own, so no name of the schema is one of a
//! rule.

mod beginnings;
mod digits;
mod names;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::node::{Array, Document, Node, Object, Property};
use super::pattern::Pattern;
use super::range::Range;
use super::text::{Length, Text};
use super::{Checked, TEXT_LIMIT_BYTES, finite};

/// Bytes that are put together for a grammar, those of rules that turn out to be there already included.
const WORK_LIMIT_BYTES: usize = 8 * TEXT_LIMIT_BYTES;

/// Rules for what needs no schema. `space` is llama.cpp's; a number's exponent ends where every reader still reads it,
/// and what follows `\u` is never half of a surrogate pair, which is no character.
const RULES: &str = r#"space ::= | " " | "\n"{1,2} [ \t]{0,20}
boolean ::= "true" | "false"
null ::= "null"
natural ::= [0] | [1-9] [0-9]{0,15}
integer ::= "-"? natural
fraction ::= "." [0-9]{1,16}
number ::= "-"? natural fraction? ([eE] [-+]? [0-9]{1,2})?
hex ::= [0-9a-fA-F]
plain ::= [\x20-\x21\x23-\x5B\x5D-\x7E\u0080-\uD7FF\uE000-\U0010FFFF]
escape ::= "\\" (["\\/bfnrt] | "u" ([0-9abcefABCEF] hex | [dD] [0-7]) hex{2})
char ::= plain | escape
string ::= "\"" char* "\""
value ::= object | array | string | number | boolean | null
member ::= string space ":" space value
object ::= "{" space (member ("," space member)*)? space "}"
array ::= "[" space (value ("," space value)*)? space "]"
fours ::= "0" [48] | [2468] [048] | [13579] [26]
leap ::= [0-9]{2} fours | ("00" | fours) "00"
month-day ::= long-month "-" (days | "3" [01]) | short-month "-" (days | "30") | "02-" (first-days | "2" [0-8])
days ::= first-days | "2" [0-9]
first-days ::= "0" [1-9] | "1" [0-9]
long-month ::= "0" [13578] | "10" | "12"
short-month ::= "0" [469] | "11"
date ::= [0-9]{4} "-" month-day | leap "-02-29"
clock ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]
time ::= clock ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [-+] clock)
date-time ::= date "T" time
count ::= [1-9] [0-9]{0,2}
days-time ::= count "D" ("T" clock-time)? | "T" clock-time
clock-time ::= (count "H")? count "M" (count "S")? | count [HS]
duration ::= "P" (count [WMY] | days-time)
uuid ::= hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}
byte ::= [0-9] | [1-9] [0-9] | "1" [0-9]{2} | "2" [0-4] [0-9] | "25" [0-5]
ipv4 ::= byte "." byte "." byte "." byte
word ::= [a-zA-Z0-9]{1,20}
label ::= word ("-" word)?
atom ::= [a-zA-Z0-9_+-]{1,20}
hostname ::= label ("." label){0,5}
ipv6 ::= hex{1,4} (":" hex{1,4}){7}
scheme ::= [a-z] [a-z0-9]{1,9}
path-char ::= [a-zA-Z0-9._~!$&'()*+,;=:@-] | "%" hex{2}
segment ::= "/" path-char{0,60}
query-char ::= path-char | "/"
uri ::= scheme "://" hostname (":" [1-9] [0-9]{0,3})? segment{0,8} ("?" query-char{0,60})?
email ::= atom ("." atom){0,2} "@" label ("." label){0,2} "." [a-zA-Z]{2,20}
"#;

/// The grammar of `document`, with the root `root`.
pub(super) fn grammar(document: &Document) -> Checked<String> {
    let mut writer = Writer {
        text: format!("root ::= {}\n", definition(0)),
        numbers: HashMap::new(),
        work: 0,
    };
    for id in finite::reached(document) {
        let body = writer.node(&document.definitions[id].node)?;
        writer.line(&definition(id), &body)?;
    }
    writer.text += RULES;
    writer.spend(0)?;
    Ok(writer.text)
}

/// A literal of a grammar.
pub(super) fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn definition(id: usize) -> String {
    format!("definition-{id}")
}

struct Writer {
    text: String,
    /// Numbers of rules by what they say: what is said twice is one rule, and one stack of the grammar.
    numbers: HashMap<String, usize>,
    /// Bytes put together.
    work: usize,
}

impl Writer {
    /// Ends the work as soon as its text cannot be used any more.
    fn spend(&mut self, bytes: usize) -> Checked<()> {
        self.work += bytes;
        match self.text.len() > TEXT_LIMIT_BYTES || self.work > WORK_LIMIT_BYTES {
            true => Err(format!(
                "its grammar has more than {TEXT_LIMIT_BYTES} bytes"
            )),
            false => Ok(()),
        }
    }

    fn line(&mut self, name: &str, body: &str) -> Checked<()> {
        self.text += &format!("{name} ::= {body}\n");
        self.spend(body.len())
    }

    /// Writes a rule, if it is not there yet, and returns its name.
    fn rule(&mut self, body: &str) -> Checked<String> {
        let count = self.numbers.len();
        if let Some(number) = self.numbers.get(body) {
            let name = format!("rule-{number}");
            self.spend(body.len())?;
            return Ok(name);
        }
        let name = format!("rule-{count}");
        self.line(&name, body)?;
        self.numbers.insert(body.to_owned(), count);
        Ok(name)
    }

    /// An element of a grammar that stands for `node`: a name, a literal or a group.
    fn node(&mut self, node: &Node) -> Checked<String> {
        let element = match node {
            Node::Any => "value".to_owned(),
            Node::Definition(id) => definition(*id),
            Node::Union(_) | Node::All { .. } | Node::One { .. } | Node::Untyped(_) => {
                let mut parts = Vec::new();
                let mut seen = HashSet::new();
                for part in node.children() {
                    let part = self.node(part)?;
                    if seen.insert(part.clone()) {
                        parts.push(part);
                    }
                }
                format!("({})", parts.join(" | "))
            }
            Node::Literals(values) => {
                let texts = values.iter().map(|value| value.text.as_str());
                format!("({})", self.one_of(texts.collect())?)
            }
            Node::Null => "null".to_owned(),
            Node::Boolean => "boolean".to_owned(),
            Node::Integer(Range::OPEN) => "integer".to_owned(),
            Node::Number(Range::OPEN) => "number".to_owned(),
            Node::Integer(range) => self.rule(&digits::integer(*range))?,
            Node::Number(range) => self.rule(&digits::number(*range))?,
            Node::Text(text) => self.string(text)?,
            Node::Array(array) => self.array(array)?,
            Node::Object(object) => self.object(object)?,
        };
        self.spend(element.len())?;
        Ok(element)
    }

    fn string(&mut self, text: &Text) -> Checked<String> {
        let inner = match text {
            text if *text == Text::ANY => return Ok("string".to_owned()),
            Text::Length(Length { least, most }) => repeated("char", *least, *most),
            Text::Format(format) => format.name.to_owned(),
            Text::Pattern(expression) => self.pattern(&expression.pattern)?,
        };
        self.rule(&format!("\"\\\"\" {inner} \"\\\"\""))
    }

    fn pattern(&mut self, pattern: &Pattern) -> Checked<String> {
        let element = match pattern {
            // A class without members does not get here.
            Pattern::One(class) => class.alternatives().unwrap_or_default(),
            Pattern::Any => "char*".to_owned(),
            Pattern::Sequence(parts) => match parts.is_empty() {
                true => "\"\"".to_owned(),
                false => self.patterns(parts)?.join(" "),
            },
            Pattern::Choice(parts) => format!("({})", self.patterns(parts)?.join(" | ")),
            Pattern::Repeat { part, least, most } => {
                let part = self.pattern(part)?;
                let part = self.rule(&part)?;
                repeated(&part, *least, *most)
            }
        };
        self.spend(element.len())?;
        Ok(element)
    }

    fn patterns(&mut self, patterns: &[Pattern]) -> Checked<Vec<String>> {
        patterns
            .iter()
            .map(|pattern| self.pattern(pattern))
            .collect()
    }

    fn array(&mut self, array: &Array) -> Checked<String> {
        let least = array.least_written();
        let listed = array.prefix.len() as u64;
        let items = array.prefix.iter().map(|item| self.node(item));
        let items = items.collect::<Checked<Vec<String>>>()?;
        let more = array.most.map(|most| most.saturating_sub(listed));
        let tail = match array.tail().filter(|_| more != Some(0)) {
            None => None,
            Some(tail) => {
                let tail = self.node(tail)?;
                Some(self.rule(&tail)?)
            }
        };
        let mut parts = Vec::new();
        if let Some(item) = tail {
            let next = self.rule(&format!("\",\" space {item}"))?;
            if items.is_empty() {
                let more = repeated(&next, least.max(1) - 1, more.map(|more| more - 1));
                // A rule: llama.cpp counts what stands in a repeated group.
                let some = self.rule(&format!("{item} {more}"))?;
                parts.push(if least == 0 { format!("{some}?") } else { some });
            } else {
                parts.push(repeated(&next, least.saturating_sub(listed), more));
            }
        }
        if !items.is_empty() {
            parts.insert(0, items.join(" \",\" space "));
        }
        let inner = parts.join(" ");
        self.rule(&format!("\"[\" space {inner} space \"]\""))
    }

    fn object(&mut self, object: &Object) -> Checked<String> {
        let written = object.properties.iter().filter(|p| !p.node.is_never());
        let (required, optional): (Vec<_>, Vec<_>) = written.partition(|p| p.is_required);
        let required = self.members(&required)?;
        let optional = self.members(&optional)?;
        let others = match object.tail() {
            None => None,
            Some(tail) => {
                let value = self.node(tail)?;
                let listed = object.properties.iter().map(|p| &*p.name);
                let name = self.name_but(listed.collect())?;
                Some(self.rule(&format!("{name} space \":\" space {value}"))?)
            }
        };
        // What may follow a member, from the last place to the first.
        let mut after = match &others {
            Some(other) => self.rule(&format!("(\",\" space {other})*"))?,
            None => "\"\"".to_owned(),
        };
        let mut beginnings: Vec<String> = Vec::new();
        beginnings.extend(others.map(|other| format!("{other} {after}")));
        for member in optional.iter().rev() {
            beginnings.push(format!("{member} {after}"));
            after = self.rule(&format!("(\",\" space {member})? {after}"))?;
        }
        beginnings.reverse();
        if object.is_filled && required.is_empty() && beginnings.is_empty() {
            return Err("minProperties wants a member where none can be written".to_owned());
        }
        let inner = match (required.is_empty(), beginnings.is_empty()) {
            (true, true) => String::new(),
            (true, false) => {
                let mark = if object.is_filled { "" } else { "?" };
                format!("({}){mark}", beginnings.join(" | "))
            }
            (false, _) => format!("{} {after}", required.join(" \",\" space ")),
        };
        self.rule(&format!("\"{{\" space {inner} space \"}}\""))
    }

    fn members(&mut self, properties: &[&Property]) -> Checked<Vec<String>> {
        let member = |property: &&Property| {
            let value = self.node(&property.node)?;
            let name = literal(&Value::from(&*property.name).to_string());
            self.rule(&format!("{name} space \":\" space {value}"))
        };
        properties.iter().map(member).collect()
    }
}

/// How many of one symbol llama.cpp repeats at most is 2000; below that, in steps of this size.
const STEP: u64 = 1000;

/// `symbol`, a name, so many times in a row.
fn repeated(symbol: &str, least: u64, most: Option<u64>) -> String {
    let exactly = |count: u64| {
        let mut parts = vec![format!("{symbol}{{{STEP}}}"); (count / STEP) as usize];
        if !count.is_multiple_of(STEP) {
            parts.push(format!("{symbol}{{{}}}", count % STEP));
        }
        parts
    };
    let Some(most) = most else {
        return [exactly(least), vec![format!("{symbol}*")]]
            .concat()
            .join(" ");
    };
    // Each step is reached in one way only, else the stacks of the grammar would grow with the text.
    let mut up_to = String::new();
    let optional = most - least;
    for step in 0..=optional / STEP {
        let here = if step == 0 { optional % STEP } else { STEP - 1 };
        let fewer = if here == 0 {
            "\"\"".to_owned()
        } else {
            format!("{symbol}{{0,{here}}}")
        };
        up_to = match step {
            0 => fewer,
            _ => format!("({fewer} | {symbol}{{{STEP}}} {up_to})"),
        };
    }
    let mut parts = exactly(least);
    if optional > 0 || parts.is_empty() {
        parts.push(up_to);
    }
    parts.join(" ")
}
