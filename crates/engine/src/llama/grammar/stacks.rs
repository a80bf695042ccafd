//! How many ways of reading one text a grammar keeps open.
//!
//! All of them are followed side by side, each as a stack. Nested repetitions of which nothing marks the ends, or branches
//! of a recursion that differ late, make thousands of stacks and more with every character.
//!
//! So texts that look bad are tried here: from the root, and from each rule where repetition or recursion begins, the
//! characters that most stacks agree on. A grammar is refused for a text that was found and no other, so a harmless
//! one never is; that the search finds every bad one is not promised, and `reading` counts what a choice takes. What is
//! refused is what llama.cpp, which compares every new stack with all others, would need hours for inside of one call
//! (`llama_grammar_advance_stack`). Knows neither syntax nor vocabulary.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::code::Code;
use super::parse::{Element, Rules};

/// What one character may cost llama.cpp, in comparisons of stacks: half a second, or 20,000 stacks.
const COST_LIMIT: u64 = 250_000_000;
/// Comparisons that take as long as one stack that is made.
const STACK_COST: u64 = 300;
/// As many stacks may have read the same text, where not one alternative alone makes about as many.
const STACKS_LIMIT: usize = 2000;
/// Stacks made in all searches and in one, about 100 ns each.
const WORK_LIMIT: u64 = 2_000_000;
/// Choices after which a search ends that has found no text with more stacks.
const PATIENCE: usize = 32;
/// Texts that are followed side by side, and characters that are tried after each.
const WIDTH: usize = 3;
/// Texts that wait to be followed.
const WAITING: usize = 50;
/// Characters of a text that a message shows.
const SHOWN: usize = 40;

/// A text that a grammar reads in too many ways.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguity {
    /// The rule that reads it.
    pub(super) rule: usize,
    pub(super) text: String,
}

/// Looks for a text that `rules`, which lead to no rule that begins with itself, read in too many ways.
pub(super) fn ambiguity(rules: &Rules, root: usize) -> Option<Ambiguity> {
    // What stands for a token is one symbol here, whichever token it is.
    let code = Code::new(rules, root, |_| -1);
    let mut visits = vec![0; code.elements.len()];
    let starts = starts(rules, root);
    let mut left = WORK_LIMIT;
    for (done, &rule) in starts.iter().enumerate() {
        // What one does not use is there for the others.
        let share = match done {
            0 => left / 4 * 3,
            _ => left / (starts.len() - done) as u64,
        };
        let mut search = Search {
            code: &code,
            rules,
            visits: &mut visits,
            known: Vec::new(),
            numbers: HashMap::new(),
            work: share,
            turn: 0,
        };
        if let Err(Stop::Ambiguous(text)) = search.from(rule) {
            return Some(Ambiguity { rule, text });
        }
        left -= share - search.work;
    }
    None
}

/// The root and the rules where something is repeated or comes back: in every circle a rule leads to one that was
/// named before it.
fn starts(rules: &Rules, root: usize) -> Vec<usize> {
    let body = |id: usize| rules.bodies[id].as_deref().unwrap_or(&[]);
    let is_repetition = |id: usize| body(id).last() == Some(&Element::Or);
    let mut is_start = vec![false; rules.bodies.len()];
    for id in 0..rules.bodies.len() {
        for element in body(id) {
            if let Element::Rule(next) = *element {
                is_start[id] |= is_repetition(next);
                is_start[next] |= next <= id;
            }
        }
    }
    let others = (0..rules.bodies.len()).filter(|id| is_start[*id] && !is_repetition(*id));
    let others = others.filter(|id| *id != root);
    std::iter::once(root).chain(others).collect()
}

/// A position in an alternative over the stack below it; number 0 is the empty stack.
struct Stack {
    at: u32,
    below: u32,
    /// The last turns in which it was made and was a result, and its place among these.
    made: u32,
    resulted: u32,
    place: u32,
}

/// Stacks that have read the same text, before their tops are opened up to terminals.
struct Readings {
    stacks: Vec<u32>,
    text: String,
}

enum Stop {
    Ambiguous(String),
    OutOfWork,
}

struct Search<'a> {
    code: &'a Code,
    rules: &'a Rules,
    /// By element, how often it was on top of what was followed.
    visits: &'a mut [u32],
    known: Vec<Stack>,
    numbers: HashMap<(u32, u32), u32>,
    /// What may still be done.
    work: u64,
    turn: u32,
}

impl Search<'_> {
    /// Fails with a text that `rule` reads in too many ways.
    fn from(&mut self, rule: usize) -> Result<(), Stop> {
        let starts = self.code.alternatives[rule].clone();
        let starts = starts.into_iter().filter_map(|at| self.stack(at, 0));
        let stacks: Vec<u32> = starts.collect();
        let (mut most, mut fan, mut patience) = (1, stacks.len(), PATIENCE);
        let mut seen = HashSet::new();
        let mut waiting = Vec::new();
        let mut followed = vec![Readings {
            stacks,
            text: String::new(),
        }];
        while patience > 0 {
            let mut is_choice = followed.len() > 1;
            for readings in &followed {
                let tops = self.open(readings)?;
                fan = fan.max(tops.len() / readings.stacks.len().max(1));
                let characters = self.characters(&tops)?;
                is_choice |= characters.len() > 1;
                for character in characters {
                    let stacks = self.read(&tops, character)?;
                    if seen.insert(hash(&stacks)) {
                        waiting.push(Readings {
                            stacks,
                            text: longer(&readings.text, character),
                        });
                    }
                }
            }
            followed = self.best(&mut waiting);
            let Some(longest) = followed.first() else {
                break;
            };
            let count = longest.stacks.len();
            if count > STACKS_LIMIT.max(2 * fan) {
                return Err(Stop::Ambiguous(longest.text.clone()));
            }
            // One more with each character is bearable for as long as a text may be.
            if 8 * count > 9 * most {
                (most, patience) = (count, PATIENCE);
            } else {
                // A text without a choice may be long before the place that matters.
                patience -= usize::from(is_choice);
            }
        }
        Ok(())
    }

    fn spend(&mut self, work: usize) -> Result<(), Stop> {
        let left = self.work.checked_sub(work as u64);
        self.work = left.unwrap_or(0);
        left.map(drop).ok_or(Stop::OutOfWork)
    }

    /// The readings with most stacks; of equals those at elements that were seen least, which lead on and not around in
    /// white space.
    fn best(&mut self, waiting: &mut Vec<Readings>) -> Vec<Readings> {
        waiting.sort_by_cached_key(|readings| {
            let stacks = readings.stacks.iter();
            let visits = stacks.filter_map(|stack| Some(self.visits[self.pop(*stack)?.0 as usize]));
            (Reverse(readings.stacks.len()), visits.min())
        });
        waiting.truncate(WAITING);
        let rest = waiting.split_off(WIDTH.min(waiting.len()));
        let best = std::mem::replace(waiting, rest);
        for stack in best.iter().flat_map(|readings| &readings.stacks) {
            if let Some((at, _)) = self.pop(*stack) {
                self.visits[at as usize] += 1;
            }
        }
        best
    }

    /// The stack with the alternative from `at` on over `below`; `None` for the empty one.
    fn stack(&mut self, at: u32, below: u32) -> Option<u32> {
        if self.code.elements[at as usize] == Element::Or {
            return (below != 0).then_some(below);
        }
        let next = self.known.len() as u32 + 1;
        Some(*self.numbers.entry((at, below)).or_insert_with(|| {
            self.known.push(Stack {
                at,
                below,
                made: 0,
                resulted: 0,
                place: 0,
            });
            next
        }))
    }

    fn pop(&self, stack: u32) -> Option<(u32, u32)> {
        let stack = self.known.get((stack as usize).checked_sub(1)?)?;
        Some((stack.at, stack.below))
    }

    /// What `llama_grammar_advance_stack` makes of each of `readings` in turn: stacks with terminals on top.
    fn open(&mut self, readings: &Readings) -> Result<Vec<u32>, Stop> {
        let code = self.code;
        let mut tops = Vec::new();
        let mut cost = 0;
        let first = self.turn + 1;
        let mut todo = Vec::new();
        for &stack in &readings.stacks {
            self.turn += 1;
            todo.push(stack);
            while let Some(number) = todo.pop() {
                let stack = &mut self.known[number as usize - 1];
                if std::mem::replace(&mut stack.made, self.turn) == self.turn {
                    continue;
                }
                let (at, below) = (stack.at, stack.below);
                cost += STACK_COST;
                if let Element::Rule(rule) = code.elements[at as usize] {
                    let below = self.stack(at + 1, below).unwrap_or(0);
                    let alternatives = code.alternatives[rule].iter();
                    todo.extend(alternatives.filter_map(|at| self.stack(*at, below)));
                } else {
                    if stack.resulted < first {
                        (stack.resulted, stack.place) = (self.turn, tops.len() as u32);
                        tops.push(number);
                    }
                    cost += u64::from(stack.place);
                }
                if cost > COST_LIMIT {
                    return Err(Stop::Ambiguous(readings.text.clone()));
                }
                self.spend(1)?;
            }
        }
        Ok(tops)
    }

    /// The characters that most of the stacks agree on, no two at the same stacks.
    fn characters(&mut self, tops: &[u32]) -> Result<Vec<u32>, Stop> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for &stack in tops {
            *counts.entry(self.symbols(stack)).or_default() += 1;
        }
        // Where ranges begin and end, and how many stacks come or go there; equal sums of hashes are equal stacks.
        let mut changes: Vec<(u32, usize, u64)> = Vec::new();
        for (symbols, count) in counts {
            let hash = hash(&symbols);
            for &(first, last) in self.rules.symbols.set(symbols) {
                changes.push((first, count, hash));
                let gone = (
                    last.saturating_add(1),
                    count.wrapping_neg(),
                    hash.wrapping_neg(),
                );
                changes.push(gone);
            }
        }
        self.spend(changes.len() + tops.len())?;
        changes.sort_unstable();
        let (mut agreed, mut sum) = (0_usize, 0_u64);
        let mut found: HashMap<u64, (usize, u32)> = HashMap::new();
        for change in changes.chunk_by(|a, b| a.0 == b.0) {
            for (_, count, hash) in change {
                agreed = agreed.wrapping_add(*count);
                sum = sum.wrapping_add(*hash);
            }
            if agreed > 0 {
                found.entry(sum).or_insert((agreed, change[0].0));
            }
        }
        let mut found: Vec<(usize, u32)> = found.into_values().collect();
        found.sort_unstable_by_key(|(agreed, character)| (Reverse(*agreed), *character));
        found.truncate(WIDTH);
        Ok(found.into_iter().map(|(_, character)| character).collect())
    }

    /// The stacks that are left of `tops` after `character`.
    fn read(&mut self, tops: &[u32], character: u32) -> Result<Vec<u32>, Stop> {
        self.spend(tops.len())?;
        let mut stacks = Vec::new();
        for &stack in tops {
            let set = self.rules.symbols.set(self.symbols(stack));
            let next = set.partition_point(|(_, last)| *last < character);
            if set.get(next).is_some_and(|(first, _)| *first <= character)
                && let Some((at, below)) = self.pop(stack)
            {
                stacks.extend(self.stack(at + 1, below));
            }
        }
        stacks.sort_unstable();
        stacks.dedup();
        Ok(stacks)
    }

    /// The number of the symbols on top of `stack`, which is open.
    fn symbols(&self, stack: u32) -> usize {
        let top = self
            .pop(stack)
            .map(|(at, _)| self.code.elements[at as usize]);
        match top {
            Some(Element::Terminal(symbols)) => symbols,
            _ => unreachable!("opened stacks have terminals on top"),
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn longer(text: &str, character: u32) -> String {
    match text.chars().count() < SHOWN {
        true => format!("{text}{}", char::from_u32(character).unwrap_or('\u{fffd}')),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
