//! Whose turns go on in a step, so that clients who run together get as much of it however many turns they have.
//!
//! A client with several turns steps back while another of its class or a higher one has got less since both run. Its
//! turns go on together once the other has caught up, so its batches stay full: eight turns of which seven are one
//! client's make 7 + 1 tokens in seven small steps and a large one, not 7 : 1 in each. A client with a single turn never
//! steps back; an answer does for the target gap at most, and a prompt, which nobody reads yet, for a few of them. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::class::Class;
use super::queue::Client;

/// Cost units that a client may be ahead by.
const AHEAD: u64 = 16;
/// For how many gaps a prompt may step back.
const PROMPT_GAPS: u32 = 4;

/// What clients got since they run together.
#[derive(Debug, Default)]
pub struct Balance {
    seats: BTreeMap<Client, Seat>,
}

#[derive(Debug)]
struct Seat {
    /// Its highest one.
    class: Class,
    turns: usize,
    cost: u64,
    /// When its answers and its prompts last went on.
    went: [Instant; 2],
}

/// What a turn would have of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Answer,
    Prompt,
}

impl Balance {
    /// Takes note of who runs: the client and class of each turn. A client that was not there before begins with the
    /// least of those that were.
    pub fn seat(&mut self, turns: impl Iterator<Item = (Client, Class)>, now: Instant) {
        let least = self.seats.values().map(|seat| seat.cost).min();
        self.seats.values_mut().for_each(|seat| seat.turns = 0);
        for (client, class) in turns {
            let seat = self.seats.entry(client).or_insert(Seat {
                class,
                turns: 0,
                cost: least.unwrap_or(0),
                went: [now; 2],
            });
            seat.class = match seat.turns {
                0 => class,
                _ => seat.class.max(class),
            };
            seat.turns += 1;
        }
        self.seats.retain(|_, seat| seat.turns > 0);
    }

    /// Whether `client` has one turn and another one several, as of the last step.
    pub fn is_only_turn_beside_many(&self, client: Client) -> bool {
        let one = self.seats.get(&client).is_some_and(|seat| seat.turns == 1);
        one && self.seats.values().any(|seat| seat.turns > 1)
    }

    /// Whether the answers or the prompts of `client` go on in this step. At least one client's do.
    pub fn goes(&self, client: Client, part: Part, now: Instant, gap: Duration) -> bool {
        let Some(seat) = self.seats.get(&client) else {
            return true;
        };
        let rivals = self.seats.values().filter(|s| s.class >= seat.class);
        let least = rivals.map(|s| s.cost).min().unwrap_or(0);
        let longest = match part {
            Part::Answer => gap,
            Part::Prompt => PROMPT_GAPS * gap,
        };
        seat.turns < 2
            || seat.cost <= least.saturating_add(AHEAD)
            || now.saturating_duration_since(seat.went[part as usize]) >= longest
    }

    /// Notes what a turn of `client` got in a step that ended at `now`.
    pub fn charge(&mut self, client: Client, part: Part, cost: u64, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&client).filter(|_| cost > 0) {
            seat.cost = seat.cost.saturating_add(cost);
            seat.went[part as usize] = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAP: Duration = Duration::from_millis(250);
    const HEAVY: Client = Client(1);
    const LIGHT: Client = Client(2);

    /// Steps of 10 ms in which each turn that goes on costs 2; returns what each client got.
    fn run(seats: &[(Client, Class)], steps: u64) -> BTreeMap<Client, u64> {
        let mut balance = Balance::default();
        let mut got = BTreeMap::new();
        let begun = Instant::now();
        for step in 0..steps {
            let now = begun + Duration::from_millis(10 * step);
            balance.seat(seats.iter().copied(), now);
            let goes = seats
                .iter()
                .filter(|(client, _)| balance.goes(*client, Part::Answer, now, GAP));
            let goes: Vec<Client> = goes.map(|(client, _)| *client).collect();
            assert!(!goes.is_empty());
            for client in goes {
                balance.charge(client, Part::Answer, 2, now);
                *got.entry(client).or_default() += 2;
            }
        }
        got
    }

    fn seats(heavy: usize, heavy_class: Class, light_class: Class) -> Vec<(Client, Class)> {
        let mut seats = vec![(HEAVY, heavy_class); heavy];
        seats.push((LIGHT, light_class));
        seats
    }

    #[test]
    fn one_turn_gets_as_much_as_seven_of_another_client() {
        let got = run(&seats(7, Class::Normal, Class::Normal), 700);
        let share = got[&LIGHT] as f64 / (got[&LIGHT] + got[&HEAVY]) as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }

    #[test]
    fn a_higher_class_does_not_step_back_for_a_lower_one() {
        let got = run(&seats(7, Class::High, Class::Normal), 100);
        assert_eq!((got[&HEAVY], got[&LIGHT]), (1400, 200));
        let got = run(&seats(7, Class::Normal, Class::High), 700);
        assert!(got[&LIGHT] * 11 > got[&HEAVY] * 9, "{got:?}");
    }

    #[test]
    fn single_turns_never_step_back() {
        let mut balance = Balance::default();
        let now = Instant::now();
        balance.seat(
            [(HEAVY, Class::Normal), (LIGHT, Class::Normal)].into_iter(),
            now,
        );
        balance.charge(HEAVY, Part::Prompt, 6000, now);
        assert!(balance.goes(HEAVY, Part::Answer, now, GAP));
    }

    #[test]
    fn only_turns_beside_many_are_known() {
        let mut balance = Balance::default();
        let now = Instant::now();
        balance.seat(seats(2, Class::Normal, Class::Normal).into_iter(), now);
        assert!(balance.is_only_turn_beside_many(LIGHT));
        assert!(!balance.is_only_turn_beside_many(HEAVY));
        balance.seat(seats(1, Class::Normal, Class::Normal).into_iter(), now);
        assert!(!balance.is_only_turn_beside_many(LIGHT));
    }

    #[test]
    fn nobody_steps_back_for_ever() {
        let mut balance = Balance::default();
        let now = Instant::now();
        balance.seat(seats(2, Class::Normal, Class::Normal).into_iter(), now);
        balance.charge(HEAVY, Part::Prompt, 6000, now);
        assert!(!balance.goes(HEAVY, Part::Answer, now + GAP / 2, GAP));
        assert!(balance.goes(HEAVY, Part::Answer, now + GAP, GAP));
        assert!(!balance.goes(HEAVY, Part::Prompt, now + GAP, GAP));
        assert!(balance.goes(HEAVY, Part::Prompt, now + 4 * GAP, GAP));
    }

    #[test]
    fn who_comes_later_begins_with_the_least() {
        let mut balance = Balance::default();
        let now = Instant::now();
        balance.seat([(HEAVY, Class::Normal); 4].into_iter(), now);
        balance.charge(HEAVY, Part::Prompt, 6000, now);
        balance.seat(seats(4, Class::Normal, Class::Normal).into_iter(), now);
        assert!(balance.goes(HEAVY, Part::Answer, now, GAP));
    }

    proptest! {
        #[test]
        fn somebody_always_goes(turns in prop::collection::vec((0u64..5, 0usize..4), 1..16), costs in prop::collection::vec((0u64..5, 0u64..500), 0..40)) {
            let turns: Vec<_> = turns.into_iter().map(|(c, class)| (Client(c), Class::ALL[class])).collect();
            let now = Instant::now();
            let mut balance = Balance::default();
            balance.seat(turns.iter().copied(), now);
            for (client, cost) in costs {
                balance.charge(Client(client), Part::Prompt, cost, now);
                prop_assert!(turns.iter().any(|(c, _)| balance.goes(*c, Part::Answer, now, GAP)));
            }
        }
    }
}
