//! The pool's books.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use super::*;
use crate::memory::align::Alignment;
use proptest::prelude::*;
use std::time::Duration;

fn tokens(range: Range<i32>) -> Vec<Token> {
    range.map(Token).collect()
}

/// A pool with a clock, and what asks have in common.
struct Bench {
    pool: Pool,
    now: Instant,
    presence: Arc<Presence>,
    rewind: usize,
    moves: bool,
    share: bool,
}

impl Bench {
    fn new(sequences: usize, cells: usize) -> Bench {
        Bench::with(sequences, cells, true, CacheStrategy::Lru)
    }

    fn with(sequences: usize, cells: usize, unified: bool, strategy: CacheStrategy) -> Bench {
        Bench {
            pool: Pool::new(sequences, cells, unified, strategy),
            now: Instant::now(),
            presence: Arc::default(),
            rewind: usize::MAX,
            moves: false,
            share: true,
        }
    }

    fn admit(&mut self, session: u64, prompt: &[Token], room: usize) -> Option<Grant> {
        self.admit_saved(session, prompt, room, 0)
    }

    fn admit_saved(
        &mut self,
        session: u64,
        prompt: &[Token],
        room: usize,
        saved: usize,
    ) -> Option<Grant> {
        self.now += Duration::from_secs(1);
        let ask = Ask {
            session: SessionKey(session),
            prompt,
            room,
            saved,
            rewind: self.rewind,
            moves: self.moves,
            share: self.share,
            unsettled: &[],
            presence: &self.presence,
        };
        self.pool.admit(&ask, self.now)
    }

    /// Evaluates what a grant left of the prompt.
    fn fill(&mut self, grant: &Grant, prompt: &[Token]) {
        for &token in &prompt[self.pool.len(grant.sequence)..] {
            self.pool.filled(grant.sequence, token);
        }
    }

    /// A whole turn without an answer.
    fn run(&mut self, session: u64, prompt: &[Token]) -> Grant {
        let grant = self.admit(session, prompt, 0).unwrap();
        self.fill(&grant, prompt);
        self.pool.release(grant.sequence, self.now);
        grant
    }
}

fn kept(tokens: usize) -> Start {
    Start::Kept(Alignment {
        keep: tokens,
        moves: Vec::new(),
    })
}

fn left(grant: &Grant) -> Vec<usize> {
    grant.leaving.iter().map(|l| l.sequence).collect()
}

#[test]
fn a_session_finds_its_own_tokens_again_and_the_last_one_is_evaluated_again() {
    let mut bench = Bench::new(2, 100);
    bench.run(1, &tokens(0..10));
    assert_eq!(bench.run(1, &tokens(0..20)).start, kept(10));
    assert_eq!(bench.run(1, &tokens(0..20)).start, kept(19));
    assert_eq!(bench.pool.used(), 20);
}

#[test]
fn what_cannot_be_taken_back_is_not_kept() {
    let mut bench = Bench::new(2, 100);
    bench.rewind = 0;
    bench.run(1, &tokens(0..10));
    assert_eq!(bench.run(1, &tokens(0..20)).start, kept(10));
    assert_eq!(bench.run(1, &tokens(0..20)).start, Start::Empty);
}

#[test]
fn without_sharing_no_session_continues_the_tokens_of_another() {
    let mut bench = Bench::new(1, 100);
    bench.share = false;
    bench.run(1, &tokens(0..50));
    let grant = bench.run(2, &tokens(0..50));
    assert_eq!((&grant.start, left(&grant)), (&Start::Empty, vec![0]));
    assert_eq!(grant.leaving[0].tokens, tokens(0..50));
}

#[test]
fn an_equal_prefix_is_copied_and_takes_no_cells() {
    let mut bench = Bench::new(4, 100);
    bench.run(1, &tokens(0..60));
    let prompt = [tokens(0..40), tokens(70..80)].concat();
    let grant = bench.run(2, &prompt);
    assert_eq!(
        grant.start,
        Start::Copied {
            from: 0,
            tokens: 40
        }
    );
    assert_eq!(bench.pool.used(), 70);
    // The shared cells are free when the last one lets go.
    bench.pool.forget(0);
    assert_eq!(bench.pool.used(), 50);
    bench.pool.forget(1);
    assert_eq!(bench.pool.used(), 0);
}

#[test]
fn a_copy_in_split_mode_takes_cells_of_its_own() {
    let mut bench = Bench::with(4, 400, false, CacheStrategy::Lru);
    bench.run(1, &tokens(0..60));
    let grant = bench.run(2, &tokens(0..50));
    assert_eq!(
        grant.start,
        Start::Copied {
            from: 0,
            tokens: 49
        }
    );
    assert_eq!(bench.pool.used(), 110);
}

#[test]
fn who_leaves_may_leave_its_beginning_to_its_successor() {
    let mut bench = Bench::new(1, 200);
    bench.run(1, &tokens(0..60));
    let grant = bench.run(2, &[tokens(0..40), tokens(70..80)].concat());
    assert_eq!((&grant.start, left(&grant)), (&kept(40), vec![0]));
    assert_eq!(grant.leaving[0].tokens.len(), 60);
    assert_eq!(bench.pool.used(), 50);
}

#[test]
fn short_prefixes_are_not_worth_a_copy() {
    let mut bench = Bench::new(4, 100);
    bench.run(1, &tokens(0..LEAST as i32 - 1));
    let grant = bench.run(2, &tokens(0..40));
    assert_eq!(grant.start, Start::Empty);
}

#[test]
fn saved_cells_are_taken_where_they_bring_more() {
    let mut bench = Bench::new(4, 400);
    bench.run(1, &tokens(0..40));
    let prompt = tokens(0..100);
    let grant = bench.admit_saved(2, &prompt, 0, 90).unwrap();
    assert_eq!(grant.start, Start::Saved);
    bench.pool.restored(grant.sequence, &prompt[..90], true);
    bench.fill(&grant, &prompt);
    bench.pool.release(grant.sequence, bench.now);
    let grant = bench.admit_saved(3, &tokens(0..45), 0, 44).unwrap();
    assert!(matches!(grant.start, Start::Copied { tokens: 44, .. }));
}

#[test]
fn tokens_behind_dropped_turns_move_and_are_shared_no_more() {
    let mut bench = Bench::new(4, 1000);
    bench.moves = true;
    bench.run(1, &tokens(0..400));
    let prompt = [tokens(0..50), tokens(200..400), tokens(900..910)].concat();
    let grant = bench.run(1, &prompt);
    assert_eq!(bench.pool.tokens(grant.sequence), (&prompt[..], false));
    assert_eq!(bench.pool.used(), 260);
    // Another session gets what never moved.
    let grant = bench.run(2, &prompt);
    assert_eq!(
        grant.start,
        Start::Copied {
            from: 0,
            tokens: 50
        }
    );
}

#[test]
fn cells_of_dropped_turns_that_others_have_do_not_count_as_staying() {
    let mut bench = Bench::new(3, 500);
    bench.moves = true;
    let first = bench.admit(1, &tokens(0..400), 0).unwrap();
    bench.fill(&first, &tokens(0..400));
    bench.pool.release(first.sequence, bench.now);
    // Another one runs on the first 200 and keeps them.
    let second = bench.admit(2, &tokens(0..201), 0).unwrap();
    bench.fill(&second, &tokens(0..201));
    // 50 stay, 150 that are shared go, 200 are moved: 250 of 500 are its own, 201 the other's, 50 of both.
    let prompt = [tokens(0..50), tokens(200..400), tokens(900..950)].concat();
    assert_eq!(bench.pool.used(), 401);
    assert!(bench.admit(1, &prompt, 50).is_none());
    let third = bench.admit(1, &prompt, 49).unwrap();
    bench.fill(&third, &prompt);
    for _ in 0..49 {
        bench.pool.filled(third.sequence, Token(0));
    }
    assert_eq!(bench.pool.used(), 500);
}

#[test]
fn idle_sequences_give_way_longest_unused_first() {
    let mut bench = Bench::new(3, 30);
    bench.run(1, &tokens(0..10));
    bench.run(2, &tokens(20..30));
    let grant = bench.run(3, &tokens(40..55));
    assert_eq!(left(&grant), [0]);
}

#[test]
fn the_strategy_says_which_idle_sequence_gives_way() {
    for (strategy, expected) in [
        (CacheStrategy::Lru, 1),
        (CacheStrategy::Fifo, 0),
        (CacheStrategy::Smart, 2),
    ] {
        let mut bench = Bench::with(3, 100, true, strategy);
        bench.run(1, &tokens(0..30));
        bench.run(2, &tokens(30..60));
        bench.run(3, &tokens(60..65));
        bench.run(1, &tokens(0..31));
        let grant = bench.run(4, &tokens(90..99));
        assert_eq!(left(&grant), [expected], "{strategy:?}");
    }
}

#[test]
fn a_turn_waits_while_running_ones_hold_the_cells() {
    let mut bench = Bench::new(2, 30);
    let first = bench.admit(1, &tokens(0..10), 10).unwrap();
    assert!(bench.admit(2, &tokens(0..10), 10).is_none());
    bench.pool.release(first.sequence, bench.now);
    assert!(bench.admit(2, &tokens(0..10), 10).is_some());
}

#[test]
fn a_running_sequence_grows_into_what_nobody_was_promised() {
    let mut bench = Bench::new(2, 30);
    let first = bench.admit(1, &tokens(0..10), 5).unwrap();
    let second = bench.admit(2, &tokens(50..60), 3).unwrap();
    assert_eq!(bench.pool.spare(), 2);
    assert_eq!(bench.pool.grow(first.sequence, 10), 2);
    assert_eq!(bench.pool.grow(second.sequence, 10), 0);
}

#[test]
fn what_several_began_with_outlives_its_session() {
    let mut bench = Bench::new(4, 400);
    let prompt = |n: i32| [tokens(0..40), tokens(100 * n..100 * n + 10)].concat();
    bench.run(1, &prompt(1));
    assert_eq!(bench.pool.disown(0), 0);
    bench.run(1, &prompt(1));
    bench.run(2, &prompt(2));
    assert_eq!((bench.pool.disown(0), bench.pool.disown(1)), (40, 40));
    assert_eq!(bench.pool.used(), 40);
    let grant = bench.run(3, &prompt(3));
    assert!(matches!(grant.start, Start::Copied { tokens: 40, .. }));
}

proptest! {
    #[test]
    fn cells_are_counted_and_never_exceed_the_pool(
        unified: bool,
        rewind in prop_oneof![Just(0usize), Just(3), Just(usize::MAX)],
        steps in prop::collection::vec((1u64..6, 0i32..3, 1i32..90, 0usize..20, 0u8..8), 0..80),
    ) {
        let mut bench = Bench::with(3, 120, unified, CacheStrategy::Lru);
        bench.rewind = rewind;
        let mut running: Vec<(Grant, Vec<Token>)> = Vec::new();
        for (session, offset, length, room, what) in steps {
            if what == 0 && !running.is_empty() {
                let (grant, _) = running.remove(0);
                bench.pool.release(grant.sequence, bench.now);
            } else if what == 1 && !running.is_empty() {
                let (grant, prompt) = running.remove(0);
                bench.pool.restart(grant.sequence);
                bench.pool.forget(grant.sequence);
                drop(prompt);
            } else if what == 2 {
                bench.pool.evict(bench.now);
            } else if what == 3 && !running.is_empty() {
                let sequence = running[0].0.sequence;
                let most = bench.pool.spare();
                prop_assert_eq!(bench.pool.grow(sequence, 7), most.min(7));
            } else {
                bench.moves = what == 4;
                // Prompts of one offset have beginnings in common; some lack their middle.
                // In split mode a turn fits into its own part.
                let length = if unified { length } else { length.min(20) };
                let mut prompt = tokens(offset * 1000..offset * 1000 + length);
                if what > 5 && prompt.len() > 20 {
                    prompt.drain(5..15);
                }
                if running.iter().any(|(grant, _)| bench.pool.sequences[grant.sequence].owner == Some(SessionKey(session))) {
                    continue;
                }
                if let Some(grant) = bench.admit(session, &prompt, room) {
                    prop_assert!(running.iter().all(|(g, _)| g.sequence != grant.sequence));
                    prop_assert!(grant.leaving.iter().all(|l| running.iter().all(|(g, _)| g.sequence != l.sequence)));
                    prop_assert!(prompt.starts_with(bench.pool.tokens(grant.sequence).0));
                    prop_assert!(bench.pool.len(grant.sequence) < prompt.len());
                    bench.fill(&grant, &prompt);
                    for _ in 0..room {
                        bench.pool.filled(grant.sequence, Token(0));
                    }
                    prop_assert_eq!(bench.pool.reserved(grant.sequence), 0);
                    running.push((grant, prompt));
                }
            }
            let pool = &bench.pool;
            prop_assert!(pool.used() <= 120);
            let promised: usize = pool.sequences.iter().map(|s| s.reserved).sum();
            prop_assert!(pool.used() + promised <= 120, "promises are kept");
            let distinct = pool.cells.distinct(pool.sequences.iter().flat_map(|s| &s.cells));
            prop_assert_eq!(pool.used(), distinct);
            let tokens: usize = pool.sequences.iter().map(|s| s.tokens.len()).sum();
            let cells: usize = pool.sequences.iter().map(|s| s.cells.len()).sum();
            prop_assert_eq!(tokens, cells);
            prop_assert!(unified || distinct == cells);
        }
    }
}

#[test]
fn who_would_have_to_leave_at_once_is_known_before_and_may_go_one_by_one() {
    let mut bench = Bench::new(5, 100);
    for session in 1..=4 {
        let first = 100 * session as i32;
        bench.run(session, &tokens(first..first + 20));
    }
    let crowd = |bench: &Bench, session, need| {
        let now = bench.now + Duration::from_secs(1);
        bench.pool.crowded_out(SessionKey(session), need, now)
    };
    // 20 cells are free; each of the others has 20, and what is its own does not leave.
    assert_eq!(
        [10, 20, 30, 70].map(|need| crowd(&bench, 9, need)),
        [0, 0, 1, 3]
    );
    assert_eq!([40, 70].map(|need| crowd(&bench, 1, need)), [0, 2]);
    assert_eq!(crowd(&bench, 9, 101), 0, "it never fits");
    let now = bench.now + Duration::from_secs(1);
    for expect in [2, 3] {
        let leaving = bench.pool.evict_other(SessionKey(1), now).unwrap();
        assert_eq!(leaving.session, Some(SessionKey(expect)));
    }
    assert_eq!(crowd(&bench, 9, 70), 1);
    let grant = bench.admit(9, &tokens(0..70), 0).unwrap();
    assert_eq!(left(&grant), [0], "session 1 is the oldest that is left");
}

proptest! {
    #[test]
    fn reservations_that_are_given_back_leave_nothing_behind(
        unified: bool,
        steps in prop::collection::vec((1u64..6, 0i32..3, 1i32..20, 0usize..20, any::<bool>()), 0..80),
    ) {
        let mut bench = Bench::with(3, 120, unified, CacheStrategy::Lru);
        let mut running: Vec<Grant> = Vec::new();
        for (session, offset, length, room, is_taken) in steps {
            let owns = |grant: &Grant| {
                bench.pool.sequences[grant.sequence].owner == Some(SessionKey(session))
            };
            if let Some(at) = running.iter().position(owns) {
                bench.pool.release(running.remove(at).sequence, bench.now);
            }
            let prompt = tokens(offset * 1000..offset * 1000 + length);
            let Some(grant) = bench.admit(session, &prompt, room) else {
                continue;
            };
            let held = bench.pool.len(grant.sequence);
            if is_taken {
                bench.fill(&grant, &prompt);
                running.push(grant);
            } else {
                // As a lane does it: what was found stays, the rest is free again.
                bench.pool.release(grant.sequence, bench.now);
                if held == 0 {
                    bench.pool.forget(grant.sequence);
                }
                prop_assert_eq!(bench.pool.len(grant.sequence), held);
                prop_assert_eq!(bench.pool.reserved(grant.sequence), 0);
            }
            prop_assert_eq!(bench.pool.running(), running.len());
            let promised: usize = running.iter().map(|g| bench.pool.reserved(g.sequence)).sum();
            prop_assert_eq!(bench.pool.spare(), 120 - bench.pool.used() - promised);
        }
        for grant in running {
            bench.pool.release(grant.sequence, bench.now);
        }
        while bench.pool.evict(bench.now).is_some() {}
        prop_assert_eq!((bench.pool.running(), bench.pool.used(), bench.pool.spare()), (0, 0, 120));
    }
}
