//! Chat templates of models: which one serves, what a swap is to know of it, and what it makes of a conversation.

use super::Backend;
use super::lease::Lease;
use crate::chat::template::{Choice, Document, Origin, SpecialTexts, Template};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::llama::{Special, Token, Vocab};
use crate::models::{Name, Profile};

impl Backend {
    /// The prompt that the template of `graph`, 0 being the current model, makes of a conversation in JSON. `messages` is an
    /// array of objects with role and content, which may be a text, a list of parts, or null; `tools` is an array or blank;
    /// `options` is an object or blank: `add_generation_prompt`, `enable_thinking`, `tool_choice` and whatever else the
    /// template reads, also inside `chat_template_kwargs`. Keys keep their order.
    ///
    /// Errors: `NoModel`; `InvalidArgument` for JSON that is not that; `Engine` with the template's own reason when it
    /// refuses the conversation; as `count_tokens` where the model has to come back first.
    pub fn apply_template(
        &self,
        graph: u32,
        messages: &str,
        tools: &str,
        options: &str,
    ) -> Result<String> {
        let _call = self.enter()?;
        let model = self.meant(graph)?;
        let lease = self.short_lease(&model)?;
        self.rendered(lease, messages, tools, options)
    }

    /// As `apply_template`, for the model that a client names; `None` is the current one.
    ///
    /// Errors: as `apply_template`.
    pub fn apply_template_of(
        &self,
        model: Option<&str>,
        messages: &str,
        tools: &str,
        options: &str,
    ) -> Result<String> {
        let _call = self.enter()?;
        let model: Name = match model {
            Some(name) => name.into(),
            None => self.fleet.current().ok_or(Error::NoModel)?,
        };
        let lease = self.short_lease(&model)?;
        self.rendered(lease, messages, tools, options)
    }

    fn rendered(&self, lease: Lease, messages: &str, tools: &str, options: &str) -> Result<String> {
        let texts = [messages, tools, options].map(str::to_owned);
        self.workers.run(move || {
            let [messages, tools, options] = &texts;
            let document = Document::read(messages, tools, options)?;
            lease.serving().template.apply(&document)
        })
    }
}

/// The template that serves a model under `config`. Errors: `Engine` where not even ChatML does.
pub fn choose(config: &Config, own: Option<&str>, vocab: &Vocab) -> Result<Choice> {
    let configured = config.model.chat_template.as_deref();
    Choice::of(configured, own, &special_texts(vocab))
}

/// Tells `profile` what was found out about the model's template by trying it.
pub fn judge(profile: &mut Profile, choice: &Choice) {
    profile.template_passed_over.clone_from(&choice.passed_over);
    profile.set_template(match choice.template.origin() {
        Origin::Fallback => None,
        _ => Some(choice.template.source()),
    });
}

/// The text that ends an answer in a format which the model did not bring, where it is no token of the vocabulary: there it
/// ends nothing by itself.
pub fn foreign_end(template: &Template, vocab: &Vocab) -> Option<String> {
    let end = template.foreign_end()?;
    let tokens = vocab.tokenize(&end, Special::Parse).unwrap_or_default();
    let ends = matches!(tokens.as_slice(), [token] if vocab.is_eog(*token));
    (!ends).then_some(end)
}

fn special_texts(vocab: &Vocab) -> SpecialTexts {
    let text = |token: Option<Token>| token.map(|t| vocab.token_text(t)).unwrap_or_default();
    let ids = 0..i32::try_from(vocab.n_tokens()).unwrap_or(i32::MAX);
    SpecialTexts {
        bos: text(vocab.bos()),
        eos: text(vocab.eos()),
        control: ids
            .map(Token)
            .filter(|&t| vocab.is_control(t))
            .map(|t| vocab.token_text(t))
            .collect(),
    }
}
