//! Panics at every place of an engine thread, one after the other and one inside of another: the process lives, every
//! turn is answered once, and the model serves again.

use super::super::super::failpoint::Point;
use super::*;

/// Places of a round, in its order.
const ROUND: [Point; 10] = [
    Point::TakeIn,
    Point::Sweep,
    Point::Reserve,
    Point::Admit,
    Point::Plan,
    Point::Evaluate,
    Point::GiveBack,
    Point::Deliver,
    Point::Answer,
    Point::Publish,
];

/// Places that are reached after a panic.
const AFTER: [Point; 7] = [
    Point::Recover,
    Point::Fail,
    Point::Answer,
    Point::Publish,
    Point::AnswerAll,
    Point::Dismantle,
    Point::Begin,
];

/// The only answer of a turn: its text, or why there is none.
fn only_answer(ticket: &Ticket) -> Result<String> {
    let end = loop {
        match ticket.next() {
            Ok(Piece::Done(outcome)) => break Ok(outcome.text),
            Ok(Piece::Failed(error)) => break Err(error),
            Ok(Piece::Started { .. } | Piece::Text { .. }) => {}
            // Its half of the answer went down with the panic, which its caller is told.
            Err(error) => return Err(error),
        }
    };
    assert!(ticket.next().is_err(), "answered twice");
    end
}

/// A model of two slots whose thread panics as it is told to.
struct Victim {
    bench: Bench,
    plan: Arc<Plan>,
    expected: [String; 2],
}

impl Victim {
    fn new() -> Victim {
        let plan = Arc::<Plan>::default();
        let bench = Bench::with_plan("a", &Cores::new(1), &Arc::default(), &plan);
        let mut victim = Victim {
            bench,
            plan,
            expected: Default::default(),
        };
        victim.expected = victim.texts().map(|text| text.unwrap());
        assert!(victim.expected.iter().all(|text| !text.is_empty()));
        victim
    }

    /// Two turns that run together and a third that waits, the last of them deterministic.
    fn submit(&self) -> Option<[Ticket; 3]> {
        let submit = |number: usize| {
            let mut turn = self.bench.turn(number, Class::Normal);
            turn.deterministic = number == 2;
            turn.keep_cache = true;
            self.bench.engine.submit(turn).ok()
        };
        Some([submit(0)?, submit(1)?, submit(2)?])
    }

    /// What turns say: a plain one and a deterministic one.
    fn texts(&self) -> [Result<String>; 2] {
        let tickets = self.submit().unwrap();
        let [first, second, third] = tickets.each_ref().map(only_answer);
        assert_eq!(first, second);
        [first, third]
    }

    /// Turns meet what is armed, and each of them is answered by its text or by an error of the library.
    fn suffer(&self, what: &str) {
        let before = self.bench.engine.stats().totals.queued.get();
        let tickets = self.submit().unwrap();
        for (number, ticket) in tickets.iter().enumerate() {
            match only_answer(ticket) {
                Ok(text) => assert_eq!(text, self.expected[number / 2], "{what}"),
                Err(Error::Internal(_)) => {}
                Err(other) => panic!("{what}: {other:?}"),
            }
        }
        // Turns are answered before a thread begins again: what is armed there is to be met, too.
        let stats = self.bench.engine.stats();
        wait_for("the thread waits for turns", || {
            stats.pulse.busy(Instant::now()).is_zero()
        });
        self.plan.disarm();
        assert_eq!(self.bench.engine.stats().totals.queued.get(), before + 3);
        wait_for("no place is held", || self.bench.engine.is_empty());
    }

    fn check(&self, what: &str) {
        let expected = self.expected.each_ref().map(|text| Ok(text.clone()));
        assert_eq!(self.texts(), expected, "{what}");
        let stats = self.bench.engine.stats();
        assert_eq!(stats.has_failed.get(), 0, "{what}");
        wait_for("no turn is counted as running", || {
            stats.running.get() + stats.totals.running.get() == 0
        });
    }
}

#[test]
fn wherever_a_round_panics_everybody_is_answered_and_the_model_serves_again() {
    let victim = Victim::new();
    for point in ROUND {
        for times in 1..=3 {
            let what = format!("{point:?} {times}");
            let hits = victim.plan.hits(point);
            victim.plan.arm(point, times);
            victim.suffer(&what);
            assert!(victim.plan.hits(point) > hits, "{what} was not reached");
            victim.check(&what);
        }
    }
    assert!(victim.bench.engine.stats().restarts.get() > 0);
    victim.bench.end();
}

#[test]
fn a_panic_after_a_panic_ends_neither_the_process_nor_the_model() {
    let victim = Victim::new();
    for first in ROUND {
        for second in AFTER {
            let what = format!("{first:?} and {second:?}");
            // Twice in a row is beyond repair, so that what follows a restart is reached, too.
            for times in 1..=2 {
                victim.plan.arm(first, times);
                victim.plan.arm(second, 1);
                victim.suffer(&what);
                victim.check(&what);
            }
        }
    }
    for point in AFTER {
        assert!(victim.plan.hits(point) > 0, "{point:?} was not reached");
    }
    victim.bench.end();
}

#[test]
fn three_places_at_once_are_not_too_many() {
    let victim = Victim::new();
    for point in Point::ALL {
        victim.plan.arm(Point::Deliver, 2);
        victim.plan.arm(Point::GiveBack, 1);
        victim.plan.arm(point, 2);
        victim.suffer(&format!("{point:?}"));
        victim.check(&format!("{point:?}"));
    }
    victim.bench.end();
}

#[test]
fn a_thread_that_ends_among_panics_answers_everybody_and_ends() {
    for point in [
        Point::TakeIn,
        Point::Evaluate,
        Point::AnswerAll,
        Point::Publish,
        Point::Dismantle,
    ] {
        for is_stopped in [true, false] {
            let Victim { bench, plan, .. } = Victim::new();
            let tickets: Vec<Ticket> = (0..6).map(|n| bench.submit(n, Class::Normal)).collect();
            plan.arm(point, 4);
            match is_stopped {
                true => bench.engine.stop(),
                false => bench.engine.retire(true),
            }
            for ticket in &tickets {
                let end = only_answer(ticket);
                let is_expected = matches!(
                    end,
                    Ok(_) | Err(Error::Cancelled | Error::Replaced | Error::Internal(_))
                );
                assert!(is_expected, "{point:?}: {end:?}");
            }
            drop(bench.engine);
            assert!(bench.thread.join().is_ok(), "{point:?} {is_stopped}");
        }
    }
}

#[test]
fn a_model_that_cannot_begin_again_refuses_turns_and_says_so() {
    let Victim { bench, plan, .. } = Victim::new();
    let tickets: Vec<Ticket> = (0..4).map(|n| bench.submit(n, Class::Normal)).collect();
    plan.arm(Point::TakeIn, u32::MAX);
    for ticket in &tickets {
        let end = only_answer(ticket);
        assert!(matches!(end, Ok(_) | Err(Error::Internal(_))), "{end:?}");
    }
    wait_for("it has failed", || {
        // Each look brings another turn, since only what comes in lets it panic.
        drop(bench.engine.submit(bench.turn(9, Class::Normal)));
        bench.engine.stats().has_failed.get() == 1
    });
    wait_for("nothing is let in", || {
        let refused = bench.engine.submit(bench.turn(9, Class::Normal));
        matches!(refused, Err(Error::Internal(_)))
    });
    wait_for("no place is held", || bench.engine.is_empty());
    assert!(bench.thread.join().is_ok());
}
