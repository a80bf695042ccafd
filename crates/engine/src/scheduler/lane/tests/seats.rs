//! Reservations that nobody takes, and steps beside those of deterministic turns.

use super::*;

#[test]
fn a_reservation_that_is_dropped_gives_its_sequence_and_its_cells_back() {
    let mut bench = Bench::new();
    let spare = bench.lane.pool.spare();
    let (work, standing, caller) = bench.take(RIVERS);
    for _ in 0..3 {
        let seat = bench.lane.reserve(&work, false, Instant::now());
        assert!(seat.is_ok());
        drop(seat);
        assert_eq!(bench.lane.pool.running(), 0);
        assert_eq!(bench.lane.pool.spare(), spare);
    }
    let now = Instant::now();
    let seat = bench.lane.reserve(&work, false, now).ok().unwrap();
    assert!(seat.enter(work, standing, now).is_ok());
    // Both places are there.
    let other = bench.enter(COUNT);
    bench.finish();
    assert_eq!(caller.answer().unwrap(), alone(RIVERS));
    assert_eq!(other.answer().unwrap(), alone(COUNT));
}

#[test]
fn cells_that_a_dropped_reservation_found_stay_with_their_session() {
    let mut bench = Bench::new();
    let first = bench.enter(RIVERS);
    bench.finish();
    first.answer().unwrap();
    // The next turn of the same session: what was said, and more.
    bench.turns -= 1;
    let (work, standing, caller) = bench.take(&format!("{RIVERS} {COUNT}"));
    let idle = bench.lane.pool.idle_tokens();
    assert!(idle > 0);
    let now = Instant::now();
    drop(bench.lane.reserve(&work, false, now));
    let kept = bench.lane.pool.idle_tokens();
    assert!(kept > 0 && kept <= idle);
    let seat = bench.lane.reserve(&work, false, now).ok().unwrap();
    assert!(seat.enter(work, standing, now).is_ok());
    assert_eq!(bench.cells(), [kept]);
    bench.finish();
    assert!(caller.answer().is_ok());
}

#[test]
fn prompts_get_the_less_of_a_step_the_more_of_the_gap_deterministic_turns_take() {
    let mut bench = Bench::with_graphs(256, expecting(Duration::from_millis(100)));
    // The prompt is longer than a graph, which a step has room for 10,000 tokens in.
    let gone = bench.enter(&RIVERS.repeat(60));
    let [alone, beside, crowded] =
        [0, 124, 250].map(|ms| bench.prefill_beside(Duration::from_millis(ms)));
    assert_eq!(alone, 256);
    assert_eq!(crowded, crate::scheduler::pace::LEAST);
    assert!(crowded < beside && beside <= alone, "{beside}");
    gone.cancel();
    bench.finish();
    assert_eq!(gone.answer(), Err(Error::Cancelled));
}

#[test]
fn fixed_chunks_are_of_one_size_and_no_step_is_larger() {
    let text = RIVERS.repeat(20);
    let mut answers = Vec::new();
    for chunk in [16, 32] {
        let mut bench = Bench::with_graphs(64, Shape::Fixed(Fixed::new(chunk)));
        let prompt = bench.vocab.tokenize(&text, Special::Plain).unwrap().len();
        assert!(prompt > 64);
        let caller = bench.enter(&text);
        let mut left = prompt;
        while left > 0 {
            assert_eq!(bench.lane.next_step().is_some(), left < prompt);
            assert_eq!(bench.cells(), [prompt - left]);
            assert!(bench.step().is_empty());
            left -= left.min(chunk);
        }
        assert_eq!(bench.lane.steps as usize, prompt.div_ceil(chunk));
        bench.finish();
        assert_eq!(bench.lane.next_step(), Some(Duration::ZERO));
        answers.push(caller.answer().unwrap());
    }
    assert!(answers.iter().all(|answer| answer.len() == LENGTH));
}
