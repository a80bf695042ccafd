//! One version takes another one's place.
//!
//! Beside: the next version comes up while the one before serves; the switch is one step, and the one before ends with
//! its turns. Without room for both: the one before finishes its turns and goes, new turns wait, the next one comes up.
//! Whatever fails on the way, a version serves afterwards and no conversation has lost anything.

mod room;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::changes::change;
use super::fleet::{Fleet, Registry};
use super::jobs::Job;
use super::lines::ms;
use super::load::{How, Request, Target};
use super::naming::Known;
use super::prepare::recipe;
use super::serving::{GraphId, Serving};
use super::settings::{Pending, Text};
use super::templates;
use super::version::{DEFAULT, Origin, Sleeper, Version, known, permits};
use super::workers::spawn;
use super::{Backend, lines};
use crate::config::{self, Compatibility, Config, SwapTurns};
use crate::error::{Error, Result};
use crate::llama::Vocab;
use crate::models::{self, Claim, Found, Name, Newcomer, Profile, Way};
use crate::scheduler::Spawn;
use crate::status::{Change, Outcome, Phase};

/// Between two looks at whether a version has gone.
const LOOK: Duration = Duration::from_millis(1);

/// For how long the weights of a version are waited for that has no turns any more.
const SLOW_READER: Duration = Duration::from_secs(1);

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
        if let (How::Wake { .. }, Found::Serving(serving)) = (&request.how, &found) {
            // Somebody else woke it.
            return Ok(serving.graph);
        }
        let known = known(&found);
        let graph = known.as_ref().map(|known| known.graph.0);
        if request.graph.is_some() && request.graph != graph {
            // Another change was faster: what was meant is not there any more.
            return Err(Error::NoModel);
        }
        swap.record.from = known.as_ref().map(|known| known.label.to_string());
        let now = known.map(|known| known.profile);
        let result = swap.run(request, found, now.as_ref(), report);
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
        now: Option<&Profile>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        // A thread of ours computes beside the steps of others.
        let _core = self.backend.cores.guest();
        self.job.enter(Phase::Reading);
        if let (How::Wake { since }, Found::Asleep(sleeper)) = (&request.how, &found) {
            sleeper.check(*since)?;
            // Others wait for this attempt, and make none of their own.
            self.claim.put(&self.model, Found::Away(sleeper.clone()));
            return self.wake(request, sleeper, report);
        }
        self.take_place(request, found, now, report)
    }

    /// Brings a version back. Who waited for this attempt learns of its failure.
    fn wake(
        &mut self,
        request: &Request,
        sleeper: &Arc<Sleeper>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        let found = Found::Asleep(sleeper.clone());
        let result = self.take_place(request, found, Some(&sleeper.profile), report);
        if let Err(error) = &result
            && !self.is_over()
        {
            *sleeper.failed.lock() = Some((Instant::now(), error.clone()));
        }
        result
    }

    /// Lets the next version take the place of what `found` stands for.
    fn take_place(
        &mut self,
        request: &Request,
        found: Found<Serving, Sleeper>,
        now: Option<&Profile>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        let next = self.next(request, &found)?;
        let way = self.way(&next, now)?;
        let graph = match (way, found.serving()) {
            (Way::Replace, Some(old)) => self.replace(next, old, report),
            (Way::Beside | Way::Replace, old) => {
                self.record.beside = old.is_some();
                drop(old);
                self.beside(next, report)
            }
        }?;
        self.backend.monitor.begin(&self.backend.journal);
        Ok(graph)
    }

    /// What `request` comes to.
    fn next(&self, request: &Request, found: &Found<Serving, Sleeper>) -> Result<Next> {
        let lineage = self.fleet.lineage(&self.model);
        let (source, text, target, adapters) = match (&request.how, found) {
            (How::Wake { .. }, Found::Asleep(sleeper)) => {
                return Ok(Next {
                    version: sleeper.version.clone(),
                    pending: None,
                    outcome: Outcome::Woken,
                });
            }
            (How::Wake { .. }, _) => return Err(Error::NoModel),
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
                    Some(before.adapters.clone()),
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
                    None => Text::Again(lineage.load.clone()),
                };
                (source.clone(), text, *target, None)
            }
        };
        let is_further = &*self.model != DEFAULT;
        let mut pending = self.backend.pend(text, is_further)?;
        let model = &mut Arc::make_mut(&mut pending.config).model;
        if target == Some(Target::Cpu) {
            model.n_gpu_layers.get_or_insert(0);
        }
        match adapters {
            Some(adapters) => model.lora = adapters,
            None => models::anchor(model)?,
        }
        let version = Version {
            model: self.model.clone(),
            graph: GraphId::next()?,
            number: lineage.versions + 1,
            origin: Arc::new(Origin {
                source,
                load: pending.load(),
                adapters: pending.config.model.lora.clone(),
            }),
            config: pending.config.clone(),
            permits: permits(found),
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

    /// How the next version gets in, after a look at its file; what must go for it has gone. Errors: `Load` where it is
    /// none, where what conversations would lose by it is to be refused, or where there is no room for it.
    fn way(&mut self, next: &Next, now: Option<&Profile>) -> Result<Way> {
        let rules = self.rules(next);
        let limit = u64::from(rules.max_model_memory_mb) << 20;
        self.record.to = Some(next.version.origin.source.shown().to_owned());
        if now.is_none() && limit == 0 {
            return Ok(Way::Beside);
        }
        let beside = self.fleet.beside(&self.model);
        let config = &next.version.config;
        let mut survey = models::survey(&next.version.origin.source, config, beside)?;
        let own = survey.own_template.as_deref();
        let choice = templates::choose(config, own, &survey.vocab)?;
        templates::judge(&mut survey.profile, &choice);
        if let Some(reason) = choice.passed_over.filter(|_| config.strict) {
            return Err(Error::Load(reason));
        }
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
            file: survey.shelf,
            bytes: survey.bytes,
        };
        self.make_room(&newcomer, limit, &rules)
    }

    /// What the configuration says of changes. A version that comes back does so by the rules of now.
    fn rules(&self, next: &Next) -> config::Swap {
        match next.outcome {
            Outcome::Woken => self.backend.settings().config.backend.swap.clone(),
            _ => next.version.config.backend.swap.clone(),
        }
    }

    /// Whether nobody wants the change any more.
    fn is_over(&self) -> bool {
        self.job.is_cancelled() || self.backend.closing.load(Ordering::Relaxed)
    }

    /// Brings the next version up beside what serves, and switches.
    fn beside(&mut self, next: Next, report: &mut dyn FnMut(f32)) -> Result<GraphId> {
        let strict = self.record.beside;
        let serving = self.bring_up(&next.version, strict, report)?;
        self.switch(serving, next)
    }

    /// Lets the version that serves go, and brings the next one up in its place, or the same one again.
    fn replace(
        &mut self,
        next: Next,
        old: Arc<Serving>,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        self.job.enter(Phase::Draining);
        let before = Arc::new(Sleeper::of(&old));
        drop(old);
        let mut unserved = Instant::now();
        let old = self.claim.put(&self.model, Found::Away(before.clone()));
        if let Some(old) = old {
            unserved = self.drain(old, &self.rules(&next));
        }
        let result = self.bring_up(&next.version, true, report);
        let result = match result {
            Ok(serving) => self.switch(serving, next),
            Err(error) => Err(self.restore(&before, error)),
        };
        self.record.gap_ms = ms(unserved.elapsed());
        result
    }

    /// Waits until nothing of a version is left, and tells when its last turn ended.
    fn drain(&self, old: Arc<Serving>, rules: &config::Swap) -> Instant {
        let graph = old.graph;
        old.engine.retire(rules.turns == SwapTurns::Requeue);
        let wait = |until: Instant, is_over: &dyn Fn() -> bool| {
            while !is_over() && Instant::now() < until {
                thread::sleep(LOOK);
            }
        };
        // A change that nobody wants any more brings this version back, and its turns begin anew there.
        wait(Instant::now() + rules.drain, &|| {
            old.engine.is_empty() || self.is_over()
        });
        old.engine.cut();
        let ended = Instant::now();
        self.fleet.join(|g| g == graph);
        let left = Arc::downgrade(&old);
        drop(old);
        // A host that is slow to read its last text, perhaps the one that asks for this change, still holds the weights.
        // They are files that were mapped: the next version does not wait for them for long.
        wait(Instant::now() + SLOW_READER, &|| {
            left.strong_count() == 0 || self.is_over()
        });
        self.fleet.give_back();
        ended
    }

    /// Brings back the version that had to go for one that did not come.
    fn restore(&mut self, before: &Arc<Sleeper>, error: Error) -> Error {
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
        self.claim.put(&self.model, Found::Asleep(before.clone()));
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
        let mut progress = |part: f32| {
            self.job.advance(part);
            report(part);
            !self.is_over()
        };
        let serving = self.start(version, strict, &mut progress)?;
        if self.is_over() {
            // Its memory may be needed for the version before.
            self.fleet.let_go(Arc::new(serving));
            return Err(cancelled());
        }
        Ok(serving)
    }

    /// Loads a version and starts its threads.
    fn start(
        &self,
        version: &Version,
        strict: bool,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Serving> {
        let backend = self.backend;
        let beside = self.fleet.beside(&self.model);
        let brought = models::bring_up(&version.origin.source, &version.config, beside, progress)?;
        let tokens = brought.plan.session_tokens;
        check_rules(&version.config, &brought.weights.vocab(), tokens)?;
        let journal = backend.journal.clone();
        let spawn_engine: Spawn = Arc::new(move |work| spawn("wasi-nn-engine", &journal, work));
        let (serving, threads) = Serving::start(
            brought,
            version.clone(),
            strict,
            backend.totals.clone(),
            backend.cores.clone(),
            backend.store.clone(),
            &spawn_engine,
        )?;
        self.fleet.keep_threads(version.graph, threads);
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
        if self.record.outcome != Outcome::Woken {
            self.claim.put_last(&self.model);
        }
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
