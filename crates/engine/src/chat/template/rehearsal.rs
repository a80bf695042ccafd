//! Conversations that a template is tried on before it serves: one that fails at the second turn fails at the load.

use super::Template;
use crate::chat::history::{Message, Role};
use crate::error::{Error, Result};

/// What a template was found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traits {
    /// It ignores or refuses system messages: their text is put before the first user message.
    pub joins_system: bool,
    /// It takes contents as lists of parts only.
    pub wants_parts: bool,
    /// It takes contents as lists of parts, too.
    pub reads_parts: bool,
    /// It fails on an answer without text.
    pub refuses_empty_answers: bool,
    /// It fails on an answer that holds a thought between its tags.
    pub refuses_thoughts: bool,
    /// It opens the answer inside a thought.
    pub opens_thought: bool,
}

/// Texts that occur in no template.
const SAID: [&str; 5] = [
    "rehearsal one",
    "rehearsal two",
    "rehearsal three",
    "rehearsal four",
    "rehearsal five",
];

/// Tries `template` and notes its traits.
///
/// Errors: `Engine` with the template's reason where it does not render one, two or three turns, or leaves out what the
/// user says.
pub fn rehearse(template: &mut Template) -> Result<()> {
    let turns: Vec<Message> = SAID
        .iter()
        .enumerate()
        .map(|(n, text)| Message::new([Role::User, Role::Assistant][n % 2], text))
        .collect();
    if let Err(error) = tried(template, &turns[..1]) {
        template.traits.wants_parts = true;
        tried(template, &turns[..1]).map_err(|_| error)?;
    }
    for count in [3, 5] {
        tried(template, &turns[..count])?;
    }
    let framed = [
        Message::new(Role::System, "rehearsal frame"),
        turns[0].clone(),
    ];
    template.traits.joins_system = !template
        .render_prefix(&framed, true)
        .is_ok_and(|text| text.contains("rehearsal frame"));
    if template.traits.joins_system {
        tried(template, &framed)?;
    }
    template.traits.reads_parts = template.traits.wants_parts || template.reads_parts(SAID[0]);
    let mut answered = turns[..3].to_vec();
    answered[1] = Message::new(Role::Assistant, "");
    template.traits.refuses_empty_answers = tried(template, &answered).is_err();
    answered[1] = Message::new(
        Role::Assistant,
        "<think>\nrehearsal\n</think>\n\nrehearsal two",
    );
    template.traits.refuses_thoughts = tried(template, &answered).is_err();
    let prompt = template.render_prefix(&turns[..1], true)?;
    let opening = prompt.rsplit(SAID[0]).next().unwrap_or_default();
    template.traits.opens_thought = ["<think>", "<|begin_of_thought|>", "[THINK]"]
        .iter()
        .any(|open| opening.trim_end().ends_with(open));
    Ok(())
}

/// Renders messages, the last of which is the user's. Errors: `Engine`, also where that one is not in the text.
fn tried(template: &Template, messages: &[Message]) -> Result<()> {
    let text = template.render_prefix(messages, true)?;
    let last = messages.last().map_or("", |message| &*message.content);
    match text.contains(last) {
        true => Ok(()),
        false => Err(Error::Engine(
            "chat template: what the user says is not in its text".into(),
        )),
    }
}
