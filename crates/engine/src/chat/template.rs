//! A model's chat template: messages in, text with known borders out.
//!
//! The borders between template text and message content matter because only template text may become special tokens:
//! content is rendered as private marks and put back afterwards. Knows no tokens.

mod choice;
mod document;
mod marks;
mod program;
mod rehearsal;
mod source;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::borders;
use super::history::{Message, Role};
use crate::error::Result;

pub use choice::Choice;
pub use document::Document;
pub use rehearsal::Traits;

use marks::{assemble, marks, split};
use program::Program;

/// Where a template came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `model.chat_template`.
    Configured,
    /// The model's metadata.
    Model,
    /// The model has none that works.
    Fallback,
}

/// The special texts that templates refer to.
#[derive(Debug, Clone, Default)]
pub struct SpecialTexts {
    /// `bos_token`.
    pub bos: String,
    /// `eos_token`.
    pub eos: String,
    /// Every text that would become a control token, for contents whose borders cannot be found.
    pub control: Vec<String>,
}

/// A chat template that has rendered conversations. Any thread; needs some 2 MiB of stack.
pub struct Template {
    program: Program,
    source: String,
    is_named: bool,
    special: SpecialTexts,
    origin: Origin,
    traits: Traits,
}

/// A part of the rendered text, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Text of the template, in which special tokens count.
    Template(String),
    /// Content of a message, in which they do not.
    Content {
        /// Index into the rendered messages.
        message: usize,
        /// The content as the template has it, which may be trimmed.
        text: String,
    },
}

impl Template {
    /// The first of these that works: `configured` (a template, a known name, or a path), the model's, ChatML. The second
    /// value says why the preferred one was passed over, or that there was none.
    #[cfg(test)]
    pub fn new(
        configured: Option<&str>,
        model: Option<&str>,
        special: SpecialTexts,
    ) -> Result<(Template, Option<String>)> {
        let choice = Choice::of(configured, model, &special)?;
        let note = choice.note();
        Ok((choice.template, note))
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Its text, or its name: equal for equal templates.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it was found to do.
    pub fn traits(&self) -> Traits {
        self.traits
    }

    /// The text that ends an answer in a format that the model did not bring, which its vocabulary may not have.
    pub fn foreign_end(&self) -> Option<String> {
        if !self.is_named {
            return None;
        }
        let said = [
            (Role::User, "u"),
            (Role::Assistant, "\u{e002}"),
            (Role::User, "u"),
        ];
        let messages: Vec<Message> = said.iter().map(|(r, t)| Message::new(*r, t)).collect();
        let text = self.render_prefix(&messages, true).ok()?;
        let (_, behind) = text.split_once('\u{e002}')?;
        let end = behind.trim_start().find('>')? + 1;
        let end = &behind.trim_start()[..end];
        (end.starts_with('<') && !end.contains(char::is_whitespace)).then(|| end.to_owned())
    }

    /// Renders `messages` and the opening of the next answer, cut at the borders of contents.
    ///
    /// Errors: `Engine` with the template's own reason when it refuses the messages.
    pub fn render(&self, messages: &[Message]) -> Result<Vec<Segment>> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        let real = self.text(messages, &contents, true)?;
        let marks = marks(&contents);
        let marked: Vec<&str> = marks.iter().map(String::as_str).collect();
        if let Ok(text) = self.text(messages, &marked, true)
            && let Some(parts) = split(&text, &marks)
        {
            for shape in [|s: &str| s.to_owned(), |s: &str| s.trim().to_owned()] {
                let segments = assemble(&parts, |message| shape(contents[message]));
                if segments.iter().map(Segment::text).collect::<String>() == real {
                    return Ok(segments);
                }
            }
        }
        // The template changes contents in its own way: special tokens in them are broken up instead.
        let broken: Vec<String> = contents.iter().map(|c| self.break_special(c)).collect();
        let broken: Vec<&str> = broken.iter().map(String::as_str).collect();
        let plain = match broken == contents {
            true => real,
            false => self.text(messages, &broken, true)?,
        };
        let render = |contents: &[&str]| self.text(messages, contents, true);
        Ok(borders::segments(&broken, plain, render))
    }

    /// The text of `messages` as the template has it, with the opening of the next answer where `add_generation_prompt`.
    /// Contents stand in it as they are: it serves to compare lengths and to find where texts differ, never to be tokenised
    /// with special tokens.
    ///
    /// Errors: `Engine` with the template's own reason when it refuses the messages.
    pub fn render_prefix(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let contents: Vec<&str> = messages.iter().map(|m| &*m.content).collect();
        self.text(messages, &contents, add_generation_prompt)
    }

    fn text(
        &self,
        messages: &[Message],
        contents: &[&str],
        add_generation_prompt: bool,
    ) -> Result<String> {
        let mut views: Vec<(Role, String, Option<String>)> = messages
            .iter()
            .zip(contents)
            .map(|(m, &content)| {
                // A thought has no borders: nothing in it may become a special token.
                let thought = m.reasoning.as_deref().map(|t| self.break_special(t));
                (m.role, content.to_owned(), thought)
            })
            .collect();
        if self.traits.joins_system && views.len() > 1 && messages[0].role == Role::System {
            let system = views.remove(0);
            views[0].1 = format!("{}\n\n{}", system.1, views[0].1);
        }
        let views = views.into_iter().map(|(role, content, thought)| {
            let mut view = Map::new();
            view.insert("role".into(), role.name().into());
            let content = match self.traits.wants_parts {
                true => json!([{"type": "text", "text": content}]),
                false => content.into(),
            };
            view.insert("content".into(), content);
            if let Some(thought) = thought {
                // The two names that templates know a thought by.
                view.insert("reasoning_content".into(), thought.as_str().into());
                view.insert("thinking".into(), thought.into());
            }
            Value::Object(view)
        });
        let mut variables = self.variables();
        variables.insert("messages".into(), views.collect());
        variables.insert("add_generation_prompt".into(), add_generation_prompt.into());
        self.program.render(&Value::Object(variables))
    }

    /// What templates find beside the messages. Without tools and documents they are none, and not undefined.
    fn variables(&self) -> Map<String, Value> {
        let mut variables = Map::new();
        variables.insert("tools".into(), Value::Null);
        variables.insert("documents".into(), Value::Null);
        variables.insert("bos_token".into(), self.special.bos.as_str().into());
        variables.insert("eos_token".into(), self.special.eos.as_str().into());
        variables
    }

    /// `text` with its special texts broken up, so that none of it becomes a special token.
    fn break_special(&self, text: &str) -> String {
        borders::broken(&self.special.control, text)
    }
}

impl Segment {
    /// The text itself.
    pub fn text(&self) -> &str {
        match self {
            Segment::Template(text) | Segment::Content { text, .. } => text,
        }
    }
}
