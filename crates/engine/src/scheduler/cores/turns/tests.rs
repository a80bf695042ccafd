//! Models that compute steps of any length on simulated cores.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// What a model is like.
#[derive(Debug, Clone)]
struct Model {
    cores: u32,
    classes: Vec<Class>,
    /// Lengths of its steps, over and over, and how long it is away after each.
    steps: Vec<(Duration, Duration)>,
}

/// What a simulated model is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    Computing { since: Duration, until: Duration },
    Away { until: Duration },
    Waiting,
}

/// Models that always want to compute.
struct Machine {
    turns: Turns,
    models: Vec<(Id, Model, Doing, usize)>,
    now: Duration,
    /// Core-seconds of steps that are over.
    done: Vec<f64>,
    most: u32,
}

impl Machine {
    fn new(cores: u32, models: &[Model]) -> Machine {
        let mut turns = Turns::new(cores);
        let start = |model: &Model| {
            let away = Doing::Away {
                until: Duration::ZERO,
            };
            (turns.join(), model.clone(), away, 0)
        };
        Machine {
            models: models.iter().map(start).collect(),
            turns,
            now: Duration::ZERO,
            done: vec![0.0; models.len()],
            most: cores,
        }
    }

    /// Goes on to the next moment at which something happens.
    fn advance(&mut self) {
        let now = self.now;
        for (at, (id, model, doing, step)) in self.models.iter_mut().enumerate() {
            if let Doing::Computing { since, until } = *doing
                && until <= now
            {
                self.turns.end(*id, now);
                self.done[at] += f64::from(model.cores) * (now - since).as_secs_f64();
                let (_, away) = model.steps[*step % model.steps.len()];
                *doing = Doing::Away { until: now + away };
                *step += 1;
            }
        }
        for (id, model, doing, _) in &mut self.models {
            if matches!(*doing, Doing::Away { until } if until <= now) {
                let ask = Ask {
                    cores: model.cores,
                    classes: model.classes.iter().copied().collect(),
                };
                self.turns.ask(*id, ask, now);
                *doing = Doing::Waiting;
            }
        }
        let mut holds = Vec::new();
        let mut is_settled = false;
        while !is_settled {
            is_settled = true;
            holds.clear();
            for (id, model, doing, step) in &mut self.models {
                if *doing != Doing::Waiting {
                    continue;
                }
                match self.turns.start(*id, now) {
                    Start::Now => {
                        let (length, _) = model.steps[*step % model.steps.len()];
                        let until = now + length;
                        *doing = Doing::Computing { since: now, until };
                        is_settled = false;
                    }
                    Start::Later(until) => holds.extend(until),
                }
            }
        }
        let computing = self.models.iter().filter_map(|m| match m.2 {
            Doing::Computing { .. } => Some(m.1.cores),
            _ => None,
        });
        assert!(computing.sum::<u32>() <= self.most, "more cores than exist");
        let events = self.models.iter().filter_map(|m| match m.2 {
            Doing::Computing { until, .. } | Doing::Away { until } => Some(until),
            Doing::Waiting => None,
        });
        self.now = events.chain(holds).min().expect("somebody goes on");
        assert!(self.now > now, "time goes on");
    }

    /// Core-seconds of a model, those of its running step with them.
    fn spent(&self, at: usize) -> f64 {
        let (_, model, doing, _) = &self.models[at];
        let running = match *doing {
            Doing::Computing { since, .. } => (self.now - since).as_secs_f64(),
            _ => 0.0,
        };
        self.done[at] + f64::from(model.cores) * running
    }
}

/// What each model weighs while all are active.
fn weights(models: &[Model]) -> Vec<f64> {
    let sharers = |class: &Class| {
        let have = |m: &&Model| m.classes.contains(class);
        models.iter().filter(have).count() as f64
    };
    let weight = |model: &Model| {
        let parts = model.classes.iter();
        parts.map(|c| c.weight() as f64 / sharers(c)).sum()
    };
    models.iter().map(weight).collect()
}

/// Core-time by weight of the longest step.
fn longest(model: &Model, weight: f64) -> f64 {
    let step = model.steps.iter().map(|s| s.0).max().unwrap_or_default();
    f64::from(model.cores) * step.as_secs_f64() / weight
}

fn a_model(most: u32) -> impl Strategy<Value = Model> {
    let classes = proptest::sample::subsequence(Class::ALL.to_vec(), 1..=3);
    let step = (1u32..300, 0u32..=250).prop_map(|(ms, away)| {
        let length = MS * ms;
        (length, (length * away / 1000).min(LONGEST_HOLD))
    });
    let steps = proptest::collection::vec(step, 1..6);
    (1..=most, classes, steps).prop_map(|(cores, classes, steps)| Model {
        cores,
        classes,
        steps,
    })
}

fn some_models() -> impl Strategy<Value = (u32, Vec<Model>)> {
    (1u32..6).prop_flat_map(|cores| {
        let models = proptest::collection::vec(a_model(cores), 2..5);
        (Just(cores), models)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn models_that_cannot_compute_together_share_core_time_by_weight((cores, models) in some_models()) {
        let weights = weights(&models);
        let mut machine = Machine::new(cores, &models);
        // Neither fits beside any other: one that does may be served while its neighbour in the pair waits.
        let fits = |a: usize, b: usize| a != b && models[a].cores + models[b].cores <= cores;
        let is_alone = |a: usize| !(0..models.len()).any(|b| fits(a, b));
        let pairs: Vec<(usize, usize)> = (0..models.len())
            .flat_map(|a| (0..a).map(move |b| (a, b)))
            .filter(|&(a, b)| is_alone(a) && is_alone(b))
            .collect();
        // The least and the most that the first of a pair was ahead.
        let mut ahead = vec![(0.0f64, 0.0f64); pairs.len()];
        for _ in 0..600 {
            machine.advance();
            for (&(a, b), range) in pairs.iter().zip(&mut ahead) {
                let by = machine.spent(a) / weights[a] - machine.spent(b) / weights[b];
                *range = (range.0.min(by), range.1.max(by));
            }
        }
        for (&(a, b), (least, most)) in pairs.iter().zip(&ahead) {
            let bound = 2.0 * (longest(&models[a], weights[a]) + longest(&models[b], weights[b]));
            prop_assert!(most - least <= bound * 1.000_001, "{a} and {b}: {least} to {most}, {bound}");
        }
    }

    #[test]
    fn every_model_has_a_step_within_a_bounded_time((cores, mut models) in some_models(), away in 0u32..16) {
        // However long they are away, and whether or not they are waited for.
        models.iter_mut().flat_map(|m| &mut m.steps).for_each(|step| step.1 *= away);
        let weights = weights(&models);
        let costs = models.iter().zip(&weights).map(|(model, &weight)| longest(model, weight));
        let longest = costs.fold(0.0, f64::max);
        // Others may be as far behind as the clamp lets them, and a quarter of the time nobody computes.
        let bound = 1.25 * (BEHIND + AHEAD) * longest * weights.iter().sum::<f64>();
        let mut machine = Machine::new(cores, &models);
        let mut since: Vec<Option<Duration>> = vec![None; models.len()];
        for _ in 0..1500 {
            let now = machine.now;
            machine.advance();
            for (since, model) in since.iter_mut().zip(&machine.models) {
                *since = (model.2 == Doing::Waiting).then(|| since.unwrap_or(now));
                let waited = since.map_or(0.0, |since| (machine.now - since).as_secs_f64());
                prop_assert!(waited <= bound, "{waited} s, {bound}");
            }
        }
    }
}

fn only(class: Class, cores: u32) -> Ask {
    Ask {
        cores,
        classes: std::iter::once(class).collect(),
    }
}

fn normal(cores: u32) -> Ask {
    only(Class::Normal, cores)
}

/// Asks, starts and computes one step that ends at `now + time`; returns its end.
fn compute(turns: &mut Turns, id: Id, ask: Ask, now: Duration, time: Duration) -> Duration {
    turns.ask(id, ask, now);
    assert_eq!(turns.start(id, now), Start::Now);
    turns.end(id, now + time);
    now + time
}

#[test]
fn steps_that_fit_start_together_and_others_wait() {
    let mut turns = Turns::new(2);
    let [a, b, c] = [turns.join(), turns.join(), turns.join()];
    for id in [a, b, c] {
        turns.ask(id, normal(1), MS);
    }
    assert_eq!(turns.start(a, MS), Start::Now);
    assert_eq!(turns.start(b, MS), Start::Now);
    assert_eq!(turns.start(c, MS), Start::Later(None));
    assert_eq!((turns.free(), turns.rounds()), (0, 2));
    turns.end(b, 2 * MS);
    assert_eq!(turns.start(c, 2 * MS), Start::Now);
}

#[test]
fn more_cores_than_there_are_is_all_of_them() {
    let mut turns = Turns::new(2);
    let a = turns.join();
    turns.ask(a, normal(64), MS);
    assert_eq!(turns.start(a, MS), Start::Now);
    assert_eq!(turns.free(), 0);
}

#[test]
fn narrow_steps_do_not_starve_a_wide_one() {
    let mut turns = Turns::new(2);
    let [a, b, wide] = [turns.join(), turns.join(), turns.join()];
    turns.ask(a, only(Class::Urgent, 1), MS);
    assert_eq!(turns.start(a, MS), Start::Now);
    turns.ask(wide, only(Class::Low, 2), MS);
    turns.ask(b, only(Class::Urgent, 1), 2 * MS);
    // A core is free, but the wide one came first.
    assert_eq!(turns.start(b, 2 * MS), Start::Later(None));
    turns.end(a, 3 * MS);
    assert_eq!(turns.start(wide, 3 * MS), Start::Now);
}

#[test]
fn silence_earns_no_credit_and_leaves_no_debt_beyond_two_steps() {
    let mut turns = Turns::new(1);
    let [busy, silent] = [turns.join(), turns.join()];
    let mut now = compute(&mut turns, silent, normal(1), MS, MS);
    turns.rest(silent);
    for _ in 0..100 {
        now = compute(&mut turns, busy, normal(1), now, 10 * MS);
    }
    // Back again, it has its turn and not a hundred of them.
    turns.ask(silent, normal(1), now);
    turns.ask(busy, normal(1), now);
    assert_eq!(turns.start(silent, now), Start::Now);
    turns.end(silent, now + 10 * MS);
    assert_eq!(turns.start(busy, now + 10 * MS), Start::Now);
    turns.end(busy, now + 20 * MS);
    turns.rest(silent);
    turns.rest(busy);
    // A newcomer begins where they are.
    let new = turns.join();
    let now = compute(&mut turns, new, normal(1), now + 20 * MS, MS);
    turns.ask(busy, normal(1), now);
    assert_eq!(turns.start(busy, now), Start::Now);
}

#[test]
fn a_model_that_lags_is_waited_for_between_two_steps_but_not_for_long() {
    let mut turns = Turns::new(2);
    let [short, long] = [turns.join(), turns.join()];
    turns.ask(long, normal(2), MS);
    turns.ask(short, normal(2), MS);
    assert_eq!(turns.start(long, MS), Start::Now);
    turns.end(long, 101 * MS);
    assert_eq!(turns.start(short, 101 * MS), Start::Now);
    let now = 109 * MS;
    turns.end(short, now);
    turns.ask(long, normal(2), now);
    assert_eq!(turns.start(long, now), Start::Later(Some(now + 2 * MS)));
    turns.ask(short, normal(2), now + MS);
    assert_eq!(turns.start(short, now + MS), Start::Now);
    turns.end(short, now + 9 * MS);
    // What it did not use of its first step's time is left for after the second.
    let until = now + 12 * MS;
    assert_eq!(turns.start(long, now + 11 * MS), Start::Later(Some(until)));
    assert_eq!(turns.start(long, until), Start::Now);
    turns.end(long, now + 20 * MS);
    // It came back late, so that the next time nobody waits for it.
    turns.ask(short, normal(2), now + 20 * MS);
    assert_eq!(turns.start(short, now + 20 * MS), Start::Now);
    turns.ask(long, normal(2), now + 21 * MS);
    turns.end(short, now + 24 * MS);
    assert_eq!(turns.start(long, now + 24 * MS), Start::Now);
}

#[test]
fn a_class_weighs_the_same_however_many_models_have_it() {
    let mut turns = Turns::new(1);
    let [a, b, c] = [turns.join(), turns.join(), turns.join()];
    turns.ask(a, only(Class::High, 1), MS);
    turns.ask(b, normal(1), MS);
    turns.ask(c, normal(1), MS);
    let classes = |class| std::iter::once(class).collect();
    assert_eq!(turns.weight(classes(Class::High)), 4.0);
    assert_eq!(turns.weight(classes(Class::Normal)), 1.0);
    turns.rest(c);
    assert_eq!(turns.weight(classes(Class::Normal)), 2.0);
    let both = [Class::High, Class::Normal].into_iter().collect();
    assert_eq!(turns.weight(both), 6.0);
}

#[test]
fn who_is_gone_or_does_not_want_to_any_more_is_not_in_the_way() {
    let mut turns = Turns::new(1);
    let [a, b, c] = [turns.join(), turns.join(), turns.join()];
    for id in [a, b, c] {
        turns.ask(id, normal(1), MS);
    }
    assert_eq!(turns.start(a, MS), Start::Now);
    turns.leave(a);
    assert_eq!(turns.free(), 1);
    turns.withdraw(b, MS);
    assert_eq!(turns.start(b, MS), Start::Later(None));
    assert_eq!(turns.start(c, MS), Start::Now);
    turns.end(a, MS);
    assert_eq!(turns.free(), 0, "one that is gone gives nothing back");
}

#[test]
fn rounds_count_what_does_not_fit_together() {
    let mut turns = Turns::new(4);
    assert_eq!(turns.rounds(), 1);
    for (cores, rounds) in [(3, 1), (2, 2), (1, 2), (2, 2), (4, 3)] {
        let id = turns.join();
        turns.ask(id, normal(cores), MS);
        assert_eq!(turns.rounds(), rounds, "{cores}");
    }
}
