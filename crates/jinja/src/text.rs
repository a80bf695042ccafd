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
    budget: Rc<Budget>,
}

impl Writer {
    /// An empty one. Errors: `Limit`.
    pub fn new(budget: &Rc<Budget>) -> Result<Writer> {
        budget.hold(TEXT_BYTES)?;
        Ok(Writer {
            text: String::new(),
            budget: budget.clone(),
        })
    }

    /// Adds a text. Errors: `Limit`.
    pub fn push(&mut self, text: &str) -> Result<()> {
        self.budget.hold(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    /// Adds a character. Errors: `Limit`.
    pub fn push_char(&mut self, c: char) -> Result<()> {
        self.budget.hold(c.len_utf8())?;
        self.text.push(c);
        Ok(())
    }

    /// Adds a text `count` times. Errors: `Limit`.
    pub fn repeat(&mut self, text: &str, count: usize) -> Result<()> {
        self.budget.hold(text.len().saturating_mul(count))?;
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

    /// The finished text.
    pub fn text(self) -> Rc<Text> {
        Rc::new(Text {
            text: self.text,
            is_markup: false,
            budget: self.budget,
        })
    }

    /// The finished text as a value.
    pub fn value(self) -> Value {
        Value::Text(self.text())
    }

    /// The finished text as markup.
    pub fn markup(self) -> Value {
        Value::Text(Rc::new(Text {
            text: self.text,
            is_markup: true,
            budget: self.budget,
        }))
    }

    /// The finished text for the caller of the rendering.
    pub fn into_string(self) -> String {
        self.text
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
