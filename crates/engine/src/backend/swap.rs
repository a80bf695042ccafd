//! One version takes another one's place.
//!
//! Beside: the next version comes up while the one before serves; the switch is one step, and the one before ends with
//! its turns. Without room for both: the one before finishes its turns and goes, new turns wait, the next one comes up.
//! Whatever fails on the way, a version serves afterwards and no conversation has lost anything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::changes::{change, ms};
use super::fleet::{Fleet, Registry};
use super::jobs::Job;
use super::load::{How, Request, Target};
use super::naming::Known;
use super::prepare::recipe;
use super::serving::{GraphId, Serving};
use super::settings::{Pending, Text};
use super::version::{DEFAULT, Origin, Sleeper, Version};
use super::workers::spawn;
use super::{Backend, lines};
use crate::config::{Compatibility, Config, SwapTurns};
use crate::error::{Error, Result};
use crate::llama::Vocab;
use crate::machine;
use crate::models::{self, Budget, Claim, Found, Name, Newcomer, Profile, Way};
use crate::status::{Change, Outcome, Phase};

/// Between two looks at whether a version has gone.
const LOOK: Duration = Duration::from_millis(1);

/// Times that room is looked for: who was unused when it was decided may be used when it is done.
const ATTEMPTS: usize = 3;

/// What is to serve next.
struct Next {
    version: Version,
    /// Settings of the whole backend that come with it.
    pending: Option<Pending>,
    /// How it is remembered if it comes.
    outcome: Outcome,
}

/// A change under way.
struct Swap<'a> {
    backend: &'a Backend,
    fleet: &'a Fleet,
    claim: Claim<'a, Serving, Sleeper>,
    model: Name,
    job: &'a Job,
    begun: Instant,
    record: Change,
}

impl Backend {
    /// Does what `request` says, once no other change runs. `report` hears of the part of the weights that is read.
    pub(super) fn change(
        &self,
        request: &Request,
        job: &Job,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        let stop = || job.is_cancelled() || self.closing.load(Ordering::Relaxed);
        let registry: &Registry = &self.fleet.registry;
        let claim = registry.claim(&stop).ok_or_else(cancelled)?;
        if stop() {
            return Err(cancelled());
        }
        let mut swap = Swap {
            backend: self,
            fleet: &self.fleet,
            model: request.model.clone(),
            job,
            begun: Instant::now(),
            record: change(&request.model, Outcome::Failed),
            claim,
        };
        let found = swap.claim.find(&request.model);
        if let (How::Wake, Found::Serving(serving)) = (&request.how, &found) {
            // Somebody else woke it.
            return Ok(serving.graph);
        }
        swap.record.from = match &found {
            Found::Serving(serving) => Some(serving.label.to_string()),
            Found::Asleep(sleeper) => Some(sleeper.label.to_string()),
            Found::Away | Found::Absent => None,
        };
        let result = swap.run(request, found, report);
        let Swap {
            mut record, begun, ..
        } = swap;
        record.total_ms = ms(begun.elapsed());
        record.error = result.as_ref().err().map(Error::to_string);
        lines::changed(&record);
        self.fleet.changes.add(record);
        result
    }
}

impl Swap<'_> {
    fn run(
        &mut self,
        request: &Request,
        found: Found<Serving, Sleeper>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        self.job.enter(Phase::Reading);
        let next = self.next(request, &found)?;
        let old = found.clone().serving();
        let now = match &found {
            Found::Serving(serving) => Some(&serving.profile),
            Found::Asleep(sleeper) => Some(&sleeper.profile),
            Found::Away | Found::Absent => None,
        };
        let way = self.way(&next, now)?;
        drop(found);
        let graph = match (way, old) {
            (Way::Replace(gone), Some(old)) => {
                self.put_to_sleep(&gone);
                self.replace(next, old, report)
            }
            (Way::Beside(gone) | Way::Replace(gone), old) => {
                self.put_to_sleep(&gone);
                self.beside(next, old, report)
            }
            (Way::Refused(needed), _) => Err(self.no_room(needed)),
        }?;
        self.backend.monitor.begin(&self.backend.journal);
        Ok(graph)
    }

    /// What `request` comes to.
    fn next(&self, request: &Request, found: &Found<Serving, Sleeper>) -> Result<Next> {
        let lineage = self.fleet.lineage(&self.model);
        let (source, text, target) = match (&request.how, found) {
            (How::Wake, Found::Asleep(sleeper)) => {
                return Ok(Next {
                    version: sleeper.version.clone(),
                    pending: None,
                    outcome: Outcome::Woken,
                });
            }
            (How::Wake, _) => return Err(Error::NoModel),
            (How::RollBack, _) => {
                let before = lineage.before.clone().ok_or_else(|| {
                    let model = &self.model;
                    Error::InvalidArgument(format!(
                        "model {model} has no version before this one that could come back"
                    ))
                })?;
                (
                    before.source.clone(),
                    Text::Again(before.load.clone()),
                    None,
                )
            }
            (
                How::Load {
                    source,
                    config,
                    target,
                },
                _,
            ) => {
                let text = match config.as_deref().filter(|text| !text.is_empty()) {
                    Some(text) => Text::New(text),
                    None if &*self.model == DEFAULT => Text::Kept,
                    None => Text::Again(lineage.load()),
                };
                (source.clone(), text, *target)
            }
        };
        let is_further = &*self.model != DEFAULT;
        let mut pending = self.backend.pend(text, is_further)?;
        let model = &mut Arc::make_mut(&mut pending.config).model;
        if target == Some(Target::Cpu) {
            model.n_gpu_layers.get_or_insert(0);
        }
        let version = Version {
            model: self.model.clone(),
            graph: GraphId::next()?,
            number: lineage.versions + 1,
            origin: Arc::new(Origin {
                source,
                load: pending.load(),
            }),
            config: pending.config.clone(),
        };
        let outcome = match (&request.how, found) {
            (How::RollBack, _) => Outcome::RolledBack,
            (_, Found::Absent) => Outcome::Loaded,
            _ => Outcome::Swapped,
        };
        Ok(Next {
            version,
            pending: (!is_further).then_some(pending),
            outcome,
        })
    }

    /// How the next version gets in, after a look at its file. Errors: `Load` where it is none, or where what
    /// conversations would lose by it is to be refused.
    fn way(&mut self, next: &Next, now: Option<&Profile>) -> Result<Way> {
        let rules = self.rules(next);
        let limit = u64::from(rules.max_model_memory_mb) << 20;
        self.record.to = Some(next.version.origin.source.shown().to_owned());
        if now.is_none() && limit == 0 {
            return Ok(Way::Beside(Vec::new()));
        }
        let taken = self.fleet.buffer_bytes(Some(&self.model));
        let survey = models::survey(&next.version.origin.source, &next.version.config, taken)?;
        self.record.to = Some(survey.label.clone());
        // What would be found later is found before anything is given up.
        let tokens = survey.profile.session_tokens;
        check_rules(&next.version.config, &survey.vocab, tokens)?;
        if let Some(now) = now {
            let report = self.backend.compare(&self.model, now, &survey.profile);
            self.record.objections.clone_from(&report.objections);
            lines::compared(&self.model, &report);
            if rules.compatibility == Compatibility::Refuse && !report.objections.is_empty() {
                return Err(Error::Load(format!(
                    "swap_compatibility refuses {}: {}",
                    survey.label,
                    report.objections.join("; ")
                )));
            }
        }
        let newcomer = Newcomer {
            name: self.model.clone(),
            file: survey.identity,
            bytes: survey.bytes,
        };
        let free = machine::available();
        let budget = Budget { limit, free };
        Ok(models::way(
            &newcomer,
            &self.fleet.tenants(),
            budget,
            rules.mode,
        ))
    }

    fn rules<'n>(&self, next: &'n Next) -> &'n crate::config::Swap {
        &next.version.config.backend.swap
    }

    fn no_room(&self, needed: u64) -> Error {
        let limit = self
            .backend
            .settings()
            .config
            .backend
            .swap
            .max_model_memory_mb;
        Error::Load(format!(
            "the model needs {} MiB, backend.max_model_memory_mb is {limit} and nothing else can be unloaded",
            needed.div_ceil(1 << 20)
        ))
    }

    /// Unloads models that nobody uses. One that is used again meanwhile stays: the machine may have room after all.
    fn put_to_sleep(&self, names: &[Name]) {
        for name in names {
            let slept = (0..ATTEMPTS).find_map(|attempt| {
                if attempt > 0 {
                    thread::sleep(LOOK);
                }
                self.claim.put_to_sleep(name, Sleeper::of)
            });
            let Some(old) = slept else {
                log::warn!(target: "model", tag = "MODEL", model:% = name; "not unloaded: it is used again");
                continue;
            };
            lines::unloaded(&old);
            self.fleet.changes.add(Change {
                from: Some(old.label.to_string()),
                ..change(name, Outcome::PutToSleep)
            });
            old.engine.retire(false);
            self.fleet.let_go(old);
        }
    }

    /// Brings the next version up beside the one that serves, and switches.
    fn beside(
        &mut self,
        next: Next,
        old: Option<Arc<Serving>>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        let has_old = old.is_some();
        drop(old);
        let serving = self.bring_up(&next.version, has_old, report)?;
        self.switch(serving, next)
    }

    /// Lets the version that serves go, and brings the next one up in its place, or the same one again.
    fn replace(
        &mut self,
        next: Next,
        old: Arc<Serving>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        self.record.beside = false;
        self.job.enter(Phase::Draining);
        let before = Sleeper::of(&old);
        drop(old);
        let away = Instant::now();
        let old = self.claim.put(&self.model, Found::Away);
        if let Some(old) = old {
            self.drain(old, self.rules(&next));
        }
        let result = self.bring_up(&next.version, true, report);
        let result = match result {
            Ok(serving) => self.switch(serving, next),
            Err(error) => Err(self.restore(before, error)),
        };
        self.record.gap_ms = ms(away.elapsed());
        result
    }

    /// Waits until nothing of a version is left.
    fn drain(&self, old: Arc<Serving>, rules: &crate::config::Swap) {
        let graph = old.graph;
        old.engine.retire(rules.turns == SwapTurns::Requeue);
        let wait = |until: Instant, is_over: &dyn Fn() -> bool| {
            while !is_over() && Instant::now() < until {
                thread::sleep(LOOK);
            }
        };
        wait(Instant::now() + rules.drain, &|| self.fleet.is_over(graph));
        old.engine.cut();
        self.fleet.join(|g| g == graph);
        let left = Arc::downgrade(&old);
        drop(old);
        // A host that is slow to read its last text still holds the weights. They are files that were mapped: the next
        // version need not wait for them for ever.
        let until = Instant::now() + rules.drain.max(Duration::from_secs(1));
        wait(until, &|| {
            left.strong_count() == 0 || self.backend.closing.load(Ordering::Relaxed)
        });
    }

    /// Brings back the version that had to go for one that did not come.
    fn restore(&mut self, before: Sleeper, error: Error) -> Error {
        let mut lost = None;
        if !self.backend.closing.load(Ordering::Relaxed) {
            // Whoever has cancelled the load wants this one all the more.
            match self.start(&before.version, false, &mut |_| true) {
                Ok(serving) => {
                    self.claim
                        .put(&self.model, Found::Serving(Arc::new(serving)));
                    self.record.outcome = Outcome::Restored;
                    return error;
                }
                Err(second) => lost = Some(second),
            }
        }
        self.record.outcome = Outcome::Lost;
        self.claim.put(&self.model, Found::Asleep(Arc::new(before)));
        match lost {
            None => error,
            Some(second) => Error::Load(format!(
                "{error}; the version before could not be loaded again: {second}"
            )),
        }
    }

    fn bring_up(
        &self,
        version: &Version,
        strict: bool,
        report: &mut dyn FnMut(f32),
    ) -> Result<Serving> {
        self.job.enter(Phase::Loading);
        let stop = || self.job.is_cancelled() || self.backend.closing.load(Ordering::Relaxed);
        let mut progress = |part: f32| {
            self.job.advance(part);
            report(part);
            !stop()
        };
        let serving = self.start(version, strict, &mut progress)?;
        match stop() {
            true => Err(cancelled()),
            false => Ok(serving),
        }
    }

    /// Loads a version and starts its thread.
    fn start(
        &self,
        version: &Version,
        strict: bool,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Serving> {
        let backend = self.backend;
        let taken = self.fleet.buffer_bytes(Some(&self.model));
        let brought = models::bring_up(&version.origin.source, &version.config, taken, progress)?;
        let tokens = brought.plan.session_tokens;
        check_rules(&version.config, &brought.weights.vocab(), tokens)?;
        let spawn_engine = |work| spawn("wasi-nn-engine", &backend.journal, work);
        let (serving, thread) = Serving::start(
            brought,
            version.clone(),
            strict,
            backend.totals.clone(),
            backend.cores.clone(),
            backend.store.clone(),
            &spawn_engine,
        )?;
        self.fleet.keep_thread(version.graph, thread);
        Ok(serving)
    }

    /// Makes `serving` the version that serves.
    fn switch(&mut self, serving: Serving, next: Next) -> Result<GraphId> {
        let graph = serving.graph;
        let requeue = self.rules(&next).turns == SwapTurns::Requeue;
        if let Some(pending) = next.pending {
            self.backend.apply(pending);
        }
        self.record.to = Some(serving.label.to_string());
        self.record.outcome = next.outcome;
        let serving = Arc::new(serving);
        self.fleet.note(&serving);
        let old = self.claim.put(&self.model, Found::Serving(serving.clone()));
        if let Some(old) = &old {
            old.engine.retire(requeue);
        }
        lines::loaded(&serving, old.as_ref().map(|old| old.graph));
        drop(serving);
        if let Some(old) = old {
            self.fleet.let_go(old);
        }
        Ok(graph)
    }
}

fn cancelled() -> Error {
    Error::Load("load cancelled".into())
}

/// A grammar, schema or stop pattern of the configuration that does not compile fails the load and not every turn, and
/// so does, under `strict`, a token that the model lacks.
fn check_rules(config: &Config, vocab: &Vocab, tokens: u32) -> Result<()> {
    let (settings, _) = config.for_call(None);
    let terms = Known::default().terms(&settings, vocab)?;
    recipe(&settings, &terms, vocab, tokens as usize).map(|_| ())
}
