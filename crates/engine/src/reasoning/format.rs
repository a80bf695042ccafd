//! The ways in which models tell their thoughts from their answers.

/// What stands between a thought and an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// This token.
    Token(i32),
    /// This text, in whatever tokens.
    Text(String),
}

/// How a model's output is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A thought between two marks, then the answer.
    Marked {
        /// Opens the thought, where the prompt does not.
        open: Mark,
        /// Ends it.
        close: Mark,
        /// The first as text, with what belongs to it: a prompt that ends so has opened the thought.
        opening: &'static str,
        /// What the thought begins with that is no part of it.
        label: &'static str,
    },
    /// Messages in channels, as gpt-oss writes them: the answer is what stands in the channel `final`.
    Harmony {
        /// `<|channel|>`
        channel: i32,
        /// `<|message|>`
        message: i32,
        /// `<|start|>`
        start: i32,
        /// `<|end|>`
        end: i32,
    },
}

/// A row of the table of marks.
struct Row {
    open: &'static str,
    label: &'static str,
    close: &'static str,
}

const fn row(open: &'static str, label: &'static str, close: &'static str) -> Row {
    Row { open, label, close }
}

/// The marks of known models; those that name a family come before those that many write.
const ROWS: [Row; 13] = [
    row("<|channel>", "thought", "<channel|>"),
    row("<|START_THINKING|>", "", "<|END_THINKING|>"),
    row("<seed:think>", "", "</seed:think>"),
    row("<mm:think>", "", "</mm:think>"),
    row("<think:opensource>", "", "</think:opensource>"),
    row("<longcat_think>", "", "</longcat_think>"),
    row("<|inner_prefix|>", "", "<|inner_suffix|>"),
    row("<|begin_of_thought|>", "", "<|end_of_thought|>"),
    row("[THINK]", "", "[/THINK]"),
    row("Here are my reasoning steps:", "", "[BEGIN FINAL RESPONSE]"),
    row("<think>", "", "</think>"),
    row("<thought>", "", "</thought>"),
    row("<reasoning>", "", "</reasoning>"),
];

const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";

/// The format of a model with the chat template `template`; `single` says which token a text is, where it is one. `None`:
/// it is not known to think.
///
/// A template that names both marks says so, and so does a vocabulary that has both as tokens of their own.
pub fn detect(template: &str, single: impl Fn(&str) -> Option<i32>) -> Option<Format> {
    if template.contains(CHANNEL) {
        let harmony = || {
            Some(Format::Harmony {
                channel: single(CHANNEL)?,
                message: single(MESSAGE)?,
                start: single("<|start|>")?,
                end: single("<|end|>")?,
            })
        };
        if let Some(harmony) = harmony() {
            return Some(harmony);
        }
    }
    let is_written = |row: &&Row| template.contains(row.open) && template.contains(row.close);
    let is_token = |row: &&Row| single(row.open).is_some() && single(row.close).is_some();
    let row = ROWS
        .iter()
        .find(is_written)
        .or_else(|| ROWS.iter().find(|row| template.contains(row.close)))
        .or_else(|| ROWS.iter().find(is_token))?;
    let mark = |text: &str| match single(text) {
        Some(token) => Mark::Token(token),
        None => Mark::Text(text.to_owned()),
    };
    Some(Format::Marked {
        open: mark(row.open),
        close: mark(row.close),
        opening: row.open,
        label: row.label,
    })
}

/// What a prompt has begun for the model to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// Nothing: the model says itself whether it thinks.
    Nothing,
    /// A thought.
    Thought,
    /// An answer.
    Answer,
}

impl Format {
    /// What a prompt that ends with `opening` has begun.
    pub(super) fn begun(&self, prompt: &str) -> Begun {
        let prompt = prompt.trim_end();
        match self {
            Format::Marked { opening, label, .. } => {
                let unlabelled = prompt.strip_suffix(label).unwrap_or(prompt).trim_end();
                let opens = [prompt, unlabelled].iter().any(|p| p.ends_with(opening));
                if opens {
                    Begun::Thought
                } else {
                    Begun::Nothing
                }
            }
            Format::Harmony { .. } => match prompt.strip_suffix(MESSAGE) {
                None => Begun::Nothing,
                Some(header) => match header.rsplit_once(CHANNEL) {
                    Some((_, channel)) if !is_final(channel) => Begun::Thought,
                    _ => Begun::Answer,
                },
            },
        }
    }
}

/// Whether what is written in the channel `header` is the answer.
pub(super) fn is_final(header: &str) -> bool {
    header.trim_start().starts_with("final")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<i32> {
        None
    }

    #[test]
    fn a_format_is_seen_in_the_template_or_in_the_vocabulary() {
        let opening = |template: &str, words: &[&str]| {
            let single = |text: &str| words.iter().position(|w| *w == text).map(|at| at as i32);
            match detect(template, single) {
                Some(Format::Marked { opening, .. }) => opening,
                Some(Format::Harmony { .. }) => "harmony",
                None => "none",
            }
        };
        let harmony = ["<|channel|>", "<|message|>", "<|start|>", "<|end|>"];
        assert_eq!(opening("{{ messages }}", &[]), "none");
        assert_eq!(opening("a <think> b </think>", &[]), "<think>");
        assert_eq!(opening("split('</think>')", &[]), "<think>");
        assert_eq!(opening("", &["<think>", "</think>"]), "<think>");
        assert_eq!(opening("", &["<think>"]), "none");
        assert_eq!(opening("[THINK] [/THINK] </think>", &[]), "[THINK]");
        assert_eq!(opening("<|channel|>analysis", &harmony), "harmony");
        assert_eq!(opening("<|channel|>analysis", &harmony[..3]), "none");
        assert_eq!(
            opening("<|channel>thought\n <channel|> <think>", &[]),
            "<|channel>"
        );
    }

    #[test]
    fn the_end_of_a_prompt_says_what_it_has_begun() {
        let think = detect("<think></think>", none).unwrap();
        assert_eq!(think.begun("<a>\n<think>\n"), Begun::Thought);
        assert_eq!(think.begun("<think>\n\n</think>\n\n"), Begun::Nothing);
        assert_eq!(think.begun("<a>"), Begun::Nothing);
        let labelled = detect("<|channel><channel|>", none).unwrap();
        assert_eq!(labelled.begun("<|channel>thought\n"), Begun::Thought);
        assert_eq!(
            labelled.begun("<|channel>thought\n<channel|>"),
            Begun::Nothing
        );
        let harmony = detect("<|channel|>", |_| Some(1)).unwrap();
        let check = |prompt: &str, expect| assert_eq!(harmony.begun(prompt), expect, "{prompt}");
        check("<|start|>assistant", Begun::Nothing);
        check(
            "<|start|>assistant<|channel|>analysis<|message|>",
            Begun::Thought,
        );
        check(
            "<|start|>assistant<|channel|>final<|message|>",
            Begun::Answer,
        );
    }
}
