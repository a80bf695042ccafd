//! Texts, and texts that are being made.

use std::rc::Rc;

use crate::budget::Budget;
use crate::error::Result;
use crate::value::Value;

/// Bytes of a text beside its characters.
const TEXT_BYTES: usize = 64;

/// A text of a rendering.
pub struct Text {
    text: String,
    /// Joined to another text, it has the other's HTML signs replaced: what the filters `safe` and `escape` give.
    pub is_markup: bool,
    budget: Rc<Budget>,
}

impl Text {
    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.budget.release(TEXT_BYTES + self.text.len());
    }
}

/// A text that is being made. What is written is charged first.
pub struct Writer {
    text: String,
    /// What is on the account for it; nothing once it is finished.
    held: usize,
    budget: Rc<Budget>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.budget.release(self.held);
    }
}

impl Writer {
    /// An empty one. Errors: `Limit`.
    pub fn new(budget: &Rc<Budget>) -> Result<Writer> {
        budget.hold(TEXT_BYTES)?;
        Ok(Writer {
            text: String::new(),
            held: TEXT_BYTES,
            budget: budget.clone(),
        })
    }

    /// Adds a text. Errors: `Limit`.
    pub fn push(&mut self, text: &str) -> Result<()> {
        self.hold(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// Adds a character. Errors: `Limit`.
    pub fn push_char(&mut self, c: char) -> Result<()> {
        self.hold(c.len_utf8())?;
        self.text.push(c);
        Ok(())
    }

    /// Adds a text `count` times. Errors: `Limit`.
    pub fn repeat(&mut self, text: &str, count: usize) -> Result<()> {
        self.hold(text.len().saturating_mul(count))?;
        for _ in 0..if text.is_empty() { 0 } else { count } {
            self.text.push_str(text);
        }
        Ok(())
    }

    /// Adds so many blanks. Errors: `Limit`.
    pub fn blanks(&mut self, count: usize) -> Result<()> {
        self.repeat(" ", count)
    }

    /// What is written so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account that it is charged to.
    pub fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }

    fn hold(&mut self, bytes: usize) -> Result<()> {
        self.budget.hold(bytes)?;
        self.held += bytes;
        Ok(())
    }

    fn finish(mut self, is_markup: bool) -> Rc<Text> {
        // The finished text gives back what it was charged for.
        self.held = 0;
        Rc::new(Text {
            text: std::mem::take(&mut self.text),
            is_markup,
            budget: self.budget.clone(),
        })
    }

    /// The finished text.
    pub fn text(self) -> Rc<Text> {
        self.finish(false)
    }

    /// The finished text as a value.
    pub fn value(self) -> Value {
        Value::Text(self.finish(false))
    }

    /// The finished text as markup.
    pub fn markup(self) -> Value {
        Value::Text(self.finish(true))
    }

    /// The finished text for the caller of the rendering.
    pub fn into_string(mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

impl Value {
    /// A copy of `text`. Errors: `Limit`.
    pub fn text(text: &str, budget: &Rc<Budget>) -> Result<Value> {
        let mut writer = Writer::new(budget)?;
        writer.push(text)?;
        Ok(writer.value())
    }
}
