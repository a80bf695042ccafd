//! The context of deterministic turns, which is made while the others go on.

use std::sync::atomic::AtomicUsize;

use crossbeam_channel::bounded;

use super::*;

/// The text of a turn that succeeds.
fn text(ticket: &Ticket) -> String {
    loop {
        match ticket.next().unwrap() {
            Piece::Done(outcome) => return outcome.text,
            Piece::Failed(error) => panic!("{error}"),
            Piece::Started { .. } | Piece::Text { .. } => {}
        }
    }
}

fn deterministic(bench: &Bench, number: usize) -> Turn {
    Turn {
        deterministic: true,
        ..bench.turn(number, Class::Normal)
    }
}

#[test]
fn others_go_on_while_the_context_of_a_deterministic_turn_is_made() {
    let (open, gate) = bounded::<()>(1);
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let bench = Bench::with_spare(|spare| {
        Arc::new(move || {
            gate.recv().unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
            spare()
        })
    });
    let waits = bench.engine.submit(deterministic(&bench, 0)).unwrap();
    wait_for("it waits", || bench.engine.stats().waiting_total() == 1);
    for number in 1..6 {
        text(&bench.submit(number, Class::Normal));
    }
    assert_eq!(made.load(Ordering::Relaxed), 0);
    assert_eq!(bench.engine.stats().waiting_total(), 1);
    // One who does not want to wait any more does not have to.
    let gone = bench.engine.submit(deterministic(&bench, 7)).unwrap();
    drop(gone);
    wait_for("it has left", || {
        bench.engine.stats().totals.cancelled.get() == 1
    });
    open.send(()).unwrap();
    let first = text(&waits);
    // And the next one finds it there.
    let again = bench.engine.submit(deterministic(&bench, 8)).unwrap();
    assert_eq!(text(&again), first);
    assert_eq!(made.load(Ordering::Relaxed), 1);
    bench.end();
}

#[test]
fn a_context_that_cannot_be_made_fails_the_turn_and_is_tried_again_for_the_next() {
    let tries = AtomicUsize::new(0);
    let bench = Bench::with_spare(|spare| {
        Arc::new(move || match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::Load("no memory".into())),
            1 => resume_unwind(Box::new("while it is made")),
            _ => spare(),
        })
    });
    for expected in ["no memory", "while it is made"] {
        let ticket = bench.engine.submit(deterministic(&bench, 0)).unwrap();
        match ticket.next() {
            Ok(Piece::Failed(Error::Engine(text))) => assert!(text.contains(expected), "{text}"),
            other => panic!("{:?}", other.is_ok()),
        }
    }
    text(&bench.engine.submit(deterministic(&bench, 0)).unwrap());
    bench.end();
}

#[test]
fn an_engine_that_ends_while_a_context_is_made_waits_for_that() {
    let (open, gate) = bounded::<()>(1);
    let bench = Bench::with_spare(|spare| {
        Arc::new(move || {
            gate.recv().unwrap();
            spare()
        })
    });
    let waits = bench.engine.submit(deterministic(&bench, 0)).unwrap();
    wait_for("it waits", || bench.engine.stats().waiting_total() == 1);
    bench.engine.stop();
    // It is answered at once, whatever becomes of the context.
    assert!(matches!(waits.next(), Ok(Piece::Failed(Error::Cancelled))));
    open.send(()).unwrap();
    bench.end();
}
