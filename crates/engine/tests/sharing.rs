//! The cores that models share, under a scheduler that chooses which thread runs next.
//!
//! `cores.rs` is the engine's own file; here the locks and atomics of `crate::sync` are shuttle's, and the clock stands
//! still: who is waited for between two steps has to come back, rest or leave before another one goes on. A run in which
//! some thread waits for ever is a failure of its own.

/// What the engine takes from std.
mod sync {
    pub use shuttle::sync::atomic;
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
}

#[path = "../src/scheduler"]
#[expect(dead_code, reason = "the rest of the engine is missing")]
mod scheduler {
    pub mod class;
    pub mod cores;
    pub mod failpoint;
    pub mod shield;
}

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use scheduler::class::Class;
use scheduler::cores::{Ask, Cores, Member};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use shuttle::thread;

/// How a modelled engine thread ends.
#[derive(Clone, Copy)]
enum End {
    /// It has no turns any more, and lives on for a while.
    Rest,
    /// It is gone.
    Leave,
    /// Its second step panics; it is gone after one more.
    Panic,
}

/// A modelled engine thread: cores of its steps, their number, and its end.
type Model = (u32, u32, End);

/// The cores with the books of what is out.
struct Machine {
    cores: Arc<Cores>,
    most: u32,
    out: AtomicU32,
}

impl Machine {
    fn new(most: u32) -> Arc<Machine> {
        Arc::new(Machine {
            cores: Cores::with_clock(most, Box::new(|| Duration::ZERO)),
            most,
            out: AtomicU32::new(0),
        })
    }

    /// Computes a step; false if it was not wanted any more.
    fn step(&self, member: &Member, cores: u32, unwanted: &AtomicBool, panics: bool) -> bool {
        let class = Class::ALL[cores as usize % Class::ALL.len()];
        let ask = Ask {
            cores,
            classes: std::iter::once(class).collect(),
        };
        let Some(_permit) = member.take(ask, &|| unwanted.load(Ordering::SeqCst)) else {
            return false;
        };
        let out = self.out.fetch_add(cores, Ordering::SeqCst) + cores;
        assert!(out <= self.most, "{out} of {} cores", self.most);
        thread::yield_now();
        self.out.fetch_sub(cores, Ordering::SeqCst);
        if panics {
            resume_unwind(Box::new("a step"));
        }
        true
    }

    fn run(&self, (cores, steps, end): Model) {
        let member = Member::join(&self.cores);
        let wanted = AtomicBool::new(false);
        for step in 0..steps {
            let panics = step == 1 && matches!(end, End::Panic);
            let done = catch_unwind(AssertUnwindSafe(|| {
                self.step(&member, cores, &wanted, panics)
            }));
            assert_eq!(done.is_err(), panics);
            // Tokens are chosen here.
            thread::yield_now();
        }
        if matches!(end, End::Rest) {
            member.rest();
            thread::yield_now();
        }
    }

    /// Whoever comes last finds all cores free.
    fn is_whole(&self) -> bool {
        let last = Member::join(&self.cores);
        self.step(&last, self.most, &AtomicBool::new(true), false)
    }
}

/// All models compute their steps, whichever thread goes when.
fn all_finish(most: u32, models: &[Model]) {
    let machine = Machine::new(most);
    let threads: Vec<_> = models
        .iter()
        .map(|&model| {
            let machine = machine.clone();
            thread::spawn(move || machine.run(model))
        })
        .collect();
    for thread in threads {
        thread.join().expect("a model");
    }
    assert!(machine.is_whole());
}

#[test]
fn narrow_and_wide_steps_all_get_their_cores() {
    let models = [
        (1, 3, End::Rest),
        (2, 2, End::Leave),
        (1, 2, End::Leave),
        (2, 2, End::Rest),
    ];
    shuttle::check_random(move || all_finish(2, &models), 10_000);
    shuttle::check_pct(move || all_finish(2, &models), 10_000, 4);
}

#[test]
fn steps_of_three_widths_all_get_their_cores() {
    let models = [(3, 2, End::Leave), (2, 3, End::Rest), (1, 3, End::Leave)];
    shuttle::check_random(move || all_finish(3, &models), 10_000);
    shuttle::check_pct(move || all_finish(4, &models), 10_000, 4);
}

#[test]
fn two_models_of_one_step_each_finish_in_every_order() {
    let models = [(2, 1, End::Leave), (1, 1, End::Rest)];
    shuttle::check_dfs(move || all_finish(2, &models), Some(200_000));
}

#[test]
fn cores_of_a_step_that_panics_go_to_the_next_one() {
    let models = [(2, 2, End::Panic), (2, 2, End::Leave), (1, 2, End::Rest)];
    shuttle::check_random(move || all_finish(2, &models), 5_000);
}

#[test]
fn who_does_not_want_its_step_any_more_is_in_nobodys_way() {
    let race = || {
        let machine = Machine::new(2);
        let unwanted = Arc::new(AtomicBool::new(false));
        let quitter = {
            let (machine, unwanted) = (machine.clone(), unwanted.clone());
            thread::spawn(move || {
                let member = Member::join(&machine.cores);
                // Cores that are free at once are taken without a question, as a decode asks by itself.
                while machine.step(&member, 2, &unwanted, false) && !unwanted.load(Ordering::SeqCst)
                {
                    thread::yield_now();
                }
                member.rest();
            })
        };
        let others: Vec<_> = [(2, 2, End::Leave), (1, 2, End::Rest)]
            .into_iter()
            .map(|model| {
                let machine = machine.clone();
                thread::spawn(move || machine.run(model))
            })
            .collect();
        unwanted.store(true, Ordering::SeqCst);
        for thread in others.into_iter().chain([quitter]) {
            thread.join().expect("a model");
        }
        assert!(machine.is_whole());
    };
    shuttle::check_random(race, 10_000);
    shuttle::check_pct(race, 5_000, 4);
}
