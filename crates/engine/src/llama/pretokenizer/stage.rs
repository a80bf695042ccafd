//! One pass over the pieces of a text that cuts them into smaller ones.
//!
//! A border that an earlier pass has set stays: each piece is split as if it were the whole text. Time grows with the
//! length of the text: an expression never looks much further than it matches, and where it would, the pass is written
//! out below.

use std::cell::OnceCell;

use regex_automata::{Input, meta, util::syntax};

use super::characters::{self, Characters};
use super::expressions::Recipe;

/// A text as the passes see it, counted in characters.
pub(super) struct Text<'a> {
    text: &'a str,
    /// A byte for each character: itself in ASCII, else its class.
    classes: Vec<u8>,
    /// Where each character begins, in bytes, and where the text ends.
    starts: Vec<u32>,
    wide: OnceCell<Wide>,
    han: OnceCell<Vec<u8>>,
}

/// The text with each blank outside ASCII replaced by the one that expressions know.
struct Wide {
    text: String,
    starts: Vec<u32>,
}

/// Where pieces end, in characters; rising, no piece is empty.
pub(super) struct Pieces(Vec<u32>);

/// A pass.
#[derive(Debug)]
pub(super) enum Stage {
    /// Every match of an expression over classes, and all that lies between two matches.
    Classes {
        regex: meta::Regex,
        tail: Tail,
        is_han: bool,
    },
    /// The same over the characters themselves.
    Wide(meta::Regex),
    Digits,
    Thousands,
    Newlines,
    LastBlanks,
}

/// How white space is cut that no other alternative matches. The last blank before a word belongs to the word, if
/// another alternative wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// White space is none of the expression's business.
    None,
    /// `\s+(?!\S)|\s+`: all but the last of several, or all at the end of the piece.
    KeepLast,
    /// The same in portions that halve from 512 down to 4, then 2 or 1.
    Halving,
}

/// The alternatives of an expression over classes, by their number.
const TAIL: usize = 1;

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str, characters: &Characters) -> Text<'a> {
        let mut starts: Vec<u32> = text.char_indices().map(|(at, _)| at as u32).collect();
        starts.push(text.len() as u32);
        Text {
            text,
            classes: text.chars().map(|c| characters.class(c)).collect(),
            starts,
            wide: OnceCell::new(),
            han: OnceCell::new(),
        }
    }

    /// The one piece that a text is at first, or none.
    pub(super) fn whole(&self) -> Pieces {
        let mut pieces = Pieces(Vec::new());
        pieces.end_at(self.classes.len());
        pieces
    }

    /// The ends of `pieces` in bytes.
    pub(super) fn to_bytes(&self, pieces: Pieces) -> Vec<u32> {
        let Pieces(mut ends) = pieces;
        for end in &mut ends {
            *end = self.starts[*end as usize];
        }
        ends
    }

    fn wide(&self) -> &Wide {
        self.wide.get_or_init(|| {
            let mut wide = Wide {
                text: String::with_capacity(self.text.len()),
                starts: Vec::with_capacity(self.starts.len()),
            };
            for (c, class) in self.text.chars().zip(&self.classes) {
                wide.starts.push(wide.text.len() as u32);
                let is_blank = !c.is_ascii() && characters::is_blank(*class);
                wide.text.push(if is_blank { '\u{B}' } else { c });
            }
            wide.starts.push(wide.text.len() as u32);
            wide
        })
    }

    /// The classes, with classes of their own for Chinese characters: letters and all others.
    fn han(&self) -> &[u8] {
        self.han.get_or_init(|| {
            let class = |(c, class): (char, &u8)| match (characters::is_han(c), *class) {
                (true, characters::LETTER) => HAN_LETTER,
                (true, _) => HAN_OTHER,
                (false, class) => class,
            };
            self.text.chars().zip(&self.classes).map(class).collect()
        })
    }
}

/// A letter in a block of Chinese characters.
const HAN_LETTER: u8 = 0xDA;
/// Anything else in one, such as a place without a character.
const HAN_OTHER: u8 = 0xDB;

impl Pieces {
    fn last(&self) -> usize {
        self.0.last().map_or(0, |end| *end as usize)
    }

    /// Sets a border, unless there is one.
    fn end_at(&mut self, end: usize) {
        if end > self.last() {
            self.0.push(end as u32);
        }
    }
}

impl Stage {
    pub(super) fn new(recipe: &Recipe) -> Stage {
        match recipe {
            Recipe::Classes(alternatives, tail) => Stage::Classes {
                regex: over_classes(alternatives, *tail),
                tail: *tail,
                is_han: false,
            },
            Recipe::Han(alternatives, tail) => Stage::Classes {
                regex: over_classes(alternatives, *tail),
                tail: *tail,
                is_han: true,
            },
            Recipe::Wide(expression) => Stage::Wide(over_characters(expression)),
            Recipe::Digits => Stage::Digits,
            Recipe::Thousands => Stage::Thousands,
            Recipe::Newlines => Stage::Newlines,
            Recipe::LastBlanks => Stage::LastBlanks,
        }
    }

    /// Cuts `pieces` of `text` further.
    pub(super) fn split(&self, text: &Text<'_>, pieces: &Pieces) -> Pieces {
        let mut smaller = Pieces(Vec::with_capacity(pieces.0.len()));
        for end in &pieces.0 {
            let (from, to) = (smaller.last(), *end as usize);
            self.cut(text, from, to, &mut smaller);
            smaller.end_at(to);
        }
        smaller
    }

    fn cut(&self, text: &Text<'_>, from: usize, to: usize, out: &mut Pieces) {
        let classes = &text.classes[from..to];
        match self {
            Stage::Classes {
                regex,
                tail,
                is_han,
            } => {
                let classes = if *is_han {
                    &text.han()[from..to]
                } else {
                    classes
                };
                match_classes(regex, *tail, classes, from, out);
            }
            Stage::Wide(regex) => {
                let wide = text.wide();
                let (start, end) = (wide.starts[from] as usize, wide.starts[to] as usize);
                for found in regex.find_iter(&wide.text[start..end]) {
                    for at in [found.start(), found.end()] {
                        let at = (start + at) as u32;
                        // Every border of a match is one of a character.
                        out.end_at(wide.starts.partition_point(|start| *start < at));
                    }
                }
            }
            Stage::Digits => group_digits(classes, from, out),
            Stage::Thousands => group_thousands(classes, from, out),
            Stage::Newlines => {
                for run in classes.chunk_by(|a, b| (*a == b'\n') == (*b == b'\n')) {
                    out.end_at(out.last() + run.len());
                }
            }
            Stage::LastBlanks => {
                let word = classes
                    .iter()
                    .rposition(|class| !characters::is_blank(*class));
                out.end_at(from + word.map_or(0, |last| last + 1));
            }
        }
    }
}

fn over_classes(alternatives: &[&str], tail: Tail) -> meta::Regex {
    let mut expression = alternatives.join("|");
    // Nested classes are written alike inside and outside of another class.
    for (name, class) in [
        (r"\p{N}", r"[\xD10-9]"),
        (r"\p{L}", r"[\xD2A-Za-z]"),
        (r"\p{P}", r"[\xD3!-#%-*,-/:;?@\[\\\]_{}]"),
        (r"\p{M}", r"[\xD4]"),
        (r"\p{S}", r"[\xD5$+<=>\^`|~]"),
    ] {
        expression = expression.replace(name, class);
    }
    let mut patterns = vec![expression.as_str()];
    if tail != Tail::None {
        patterns.push(r"\s+");
    }
    let built = meta::Regex::builder()
        .configure(meta::Config::new().utf8_empty(false))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build_many(&patterns);
    built.expect("the expressions of this file's data are well-formed")
}

fn over_characters(expression: &str) -> meta::Regex {
    // White space outside ASCII has been replaced.
    let expression = expression
        .replace(r"\S", r"[^\t-\r ]")
        .replace(r"\s", r"[\t-\r ]");
    meta::Regex::new(&expression).expect("the expressions of this file's data are well-formed")
}

/// Cuts at both ends of each match in `classes`, which begin at character `from`.
fn match_classes(regex: &meta::Regex, tail: Tail, classes: &[u8], from: usize, out: &mut Pieces) {
    let mut at = 0;
    while let Some(found) = regex.find(Input::new(classes).range(at..)) {
        let (start, mut end) = (found.start(), found.end());
        out.end_at(from + start);
        if found.pattern().as_usize() == TAIL {
            // The match is all white space from here on: what follows it is a word, or the end.
            let is_last = end == classes.len();
            end = match tail {
                _ if is_last && tail == Tail::KeepLast => end,
                Tail::Halving => halve(start, end, is_last, from, out),
                _ => (end - 1).max(start + 1),
            };
        }
        out.end_at(from + end);
        at = end;
    }
}

/// Cuts the white space from `start` to `end` into portions, and returns where the last one ends: all is cut, but for
/// one blank before a word, which the word may want.
fn halve(start: usize, end: usize, is_last: bool, from: usize, out: &mut Pieces) -> usize {
    // A portion is followed by white space, or by the end.
    let left = |at: usize| end - at - usize::from(!is_last);
    let mut at = start;
    while left(at) > 0 {
        let portion = [512, 256, 128, 64, 32, 16, 8, 4, 2, 1]
            .into_iter()
            .find(|portion| *portion <= left(at));
        at += portion.unwrap_or(1);
        out.end_at(from + at);
    }
    // A single blank before something that is no word stands alone.
    at.max(start + 1)
}

/// Cuts each number into groups of three from its end. Nothing is cut before a number: its first group belongs to what
/// stands before it.
fn group_digits(classes: &[u8], from: usize, out: &mut Pieces) {
    let mut at = from;
    for run in classes.chunk_by(|a, b| characters::is_number(*a) == characters::is_number(*b)) {
        let end = at + run.len();
        if characters::is_number(run[0]) {
            let first = match run.len() % 3 {
                0 => 3,
                rest => rest,
            };
            (at + first..=end)
                .step_by(3)
                .for_each(|cut| out.end_at(cut));
        }
        at = end;
    }
}

/// Cuts before each group of three ASCII digits, counted from the end of their run.
fn group_thousands(classes: &[u8], from: usize, out: &mut Pieces) {
    let mut at = from;
    for run in classes.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        let end = at + run.len();
        if run[0].is_ascii_digit() {
            (at + run.len() % 3..end)
                .step_by(3)
                .for_each(|cut| out.end_at(cut));
        }
        at = end;
    }
}
