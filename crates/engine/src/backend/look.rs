//! What another model in the place of one would mean, told before it is done.

use std::path::Path;

use serde_json::json;

use super::Backend;
use super::settings::Text;
use super::templates;
use super::version::{DEFAULT, known};
use super::workers::apart;
use crate::error::Result;
use crate::logging;
use crate::models::{self, Name, Profile, Report, Source};

impl Backend {
    /// What would change if the model in `path` took the place of `graph`, 0 being the current one, as JSON: what it is,
    /// what it needs, and property by property how it compares. Nothing is loaded and nothing changes.
    ///
    /// Errors: `NoModel`; `Load` for a file that is no model; `InvalidArgument` for a configuration that a load would
    /// refuse.
    pub fn compare_file(&self, graph: u32, path: &Path, config: Option<&[u8]>) -> Result<String> {
        let _call = self.enter()?;
        let model = self.meant(graph)?;
        apart(|| {
            let _entered = logging::enter(&self.journal);
            let text = match config.filter(|text| !text.is_empty()) {
                Some(text) => Text::New(text),
                None if &*model == DEFAULT => Text::Kept,
                None => Text::Again(self.fleet.lineage(&model).load),
            };
            let pending = self.pend(text, &*model != DEFAULT)?;
            let beside = self.fleet.beside(&model);
            let mut survey = models::survey(&Source::file(path)?, &pending.config, beside)?;
            let own = survey.own_template.as_deref();
            let choice = templates::choose(&pending.config, own, &survey.vocab)?;
            templates::judge(&mut survey.profile, &choice);
            let now = self.profile(&model);
            let report = now.map(|now| self.compare(&model, &now, &survey.profile));
            let document = json!({
                "model": &*model,
                "label": survey.label,
                "weights_in_memory": survey.is_loaded,
                "profile": survey.profile,
                "comparison": report,
            });
            Ok(document.to_string())
        })
    }

    /// What serves `model` now, or sleeps.
    fn profile(&self, model: &str) -> Option<Profile> {
        let listed = self.fleet.registry.list();
        let found = listed.into_iter().find(|l| &*l.name == model)?.found;
        known(&found).map(|known| known.profile)
    }

    /// Compares two versions of `model` for the conversations that it has.
    pub(super) fn compare(&self, model: &Name, now: &Profile, next: &Profile) -> Report {
        let listed = self.contexts.list();
        let own = listed.iter().filter(|l| l.session.model() == *model);
        let lengths: Vec<usize> = own.map(|l| l.session.activity().used_tokens).collect();
        models::compare(now, next, &lengths)
    }
}
