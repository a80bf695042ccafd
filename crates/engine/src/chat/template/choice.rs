//! Which template serves a model: the configured one, the model's own, or ChatML.

use super::rehearsal::rehearse;
use super::source::{self, Source, is_blank};
use super::{Origin, SpecialTexts, Template};
use crate::error::Result;

/// A template with what there is to tell of it.
pub struct Choice {
    /// What serves.
    pub template: Template,
    /// Why a preferred one was passed over.
    pub passed_over: Option<String>,
    /// The model brought no template, and none is configured.
    pub is_absent: bool,
}

impl Choice {
    /// The first of these that renders conversations: `configured`, the model's own, ChatML. Blank ones are absent.
    ///
    /// Errors: `Engine` where not even ChatML does.
    pub fn of(
        configured: Option<&str>,
        model: Option<&str>,
        special: &SpecialTexts,
    ) -> Result<Choice> {
        let configured = configured.filter(|text| !is_blank(text));
        let model = model.filter(|text| !is_blank(text));
        let mut passed_over = None;
        let candidates = [
            (configured.map(source::configured), Origin::Configured),
            (model.map(source::own), Origin::Model),
        ];
        for (source, origin) in candidates {
            let Some(source) = source else { continue };
            let tried = source.and_then(|source| Choice::tried(source, origin, special));
            match tried {
                Ok(template) => {
                    return Ok(Choice {
                        template,
                        passed_over,
                        is_absent: false,
                    });
                }
                Err(error) => {
                    // The first is the one that was wanted.
                    passed_over
                        .get_or_insert_with(|| format!("chat template passed over: {error}"));
                }
            }
        }
        let mut chatml = source::own(super::program::CHATML)?;
        chatml.is_named = true;
        Ok(Choice {
            template: Choice::tried(chatml, Origin::Fallback, special)?,
            is_absent: passed_over.is_none(),
            passed_over,
        })
    }

    fn tried(source: Source, origin: Origin, special: &SpecialTexts) -> Result<Template> {
        let mut template = Template {
            program: source.program,
            source: source.text,
            is_named: source.is_named,
            special: special.clone(),
            origin,
            traits: Default::default(),
        };
        rehearse(&mut template)?;
        Ok(template)
    }

    /// What is to be told of it, if anything.
    pub fn note(&self) -> Option<String> {
        match (&self.passed_over, self.is_absent) {
            (Some(reason), _) => Some(reason.clone()),
            (None, true) => Some("the model brought no chat template: ChatML is used".into()),
            (None, false) => None,
        }
    }
}
