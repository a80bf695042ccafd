//! Every way in which a grammar can have read the text so far, and what may follow.
//!
//! A way is a stack of places in rules. Stacks share what lies below their tops, equal ones are one, and the set of all
//! stacks is a state with a number: where a text leads is found out once for each state and class of characters. What
//! may grow without end is counted. Knows no tokens that spell something: those come as bytes.

use std::collections::HashMap;
use std::sync::Arc;

use super::code::{Code, Terminal};
use super::parse::Element;

/// Steps that one choice of a token may take, of 100 ns or so each: what a grammar needs that reads its text in a few
/// hundred ways.
pub(super) const STEPS_LIMIT: u32 = 500_000;
/// Stacks that a text may leave, with all that lies below them: some 100 MiB.
const STACKS_LIMIT: usize = 1 << 20;
/// Numbers of stacks and edges in all states together, for the same reason.
const SPARE_PARTS: usize = 1 << 20;
/// Stacks that are kept beside those of the text so far, so that they need not be made again.
const SPARE_STACKS: usize = 1 << 16;

/// The state in which nothing more can be read.
pub(super) const DEAD: u32 = 0;
/// Where a character leads that was not tried yet.
const UNKNOWN: u32 = u32::MAX;

/// The bound on steps or stacks was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooManyWays;

type Read<T> = Result<T, TooManyWays>;

/// The states of a grammar that were met.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    code: Arc<Code>,
    stacks: Vec<Stack>,
    numbers: HashMap<(u32, u32), u32>,
    states: Vec<State>,
    states_by_stacks: HashMap<(Box<[u32]>, bool), u32>,
    /// Steps that are left for this choice.
    steps: u32,
    /// The number of the last walk over rules.
    walk: u32,
    /// How many stacks there may be before the needless ones are thrown away.
    room: usize,
    /// Stacks and edges that the states name.
    parts: usize,
}

/// A place in an alternative over the stack below it; number 0 is the empty stack.
#[derive(Debug, Clone, Copy)]
struct Stack {
    at: u32,
    below: u32,
    /// The last walk that came by.
    walk: u32,
}

/// Stacks that have read the same text, with terminals on top.
#[derive(Debug, Clone)]
struct State {
    stacks: Box<[u32]>,
    /// Whether the text may end.
    ends: bool,
    /// Where characters lead: from which one on, and to which state.
    edges: Option<Box<[(u32, u32)]>>,
}

impl Reading {
    /// The states of `code`, and the first one.
    pub(super) fn new(code: Arc<Code>) -> Read<(Reading, u32)> {
        let mut reading = Reading {
            code,
            stacks: Vec::new(),
            numbers: HashMap::new(),
            states: Vec::new(),
            states_by_stacks: HashMap::new(),
            steps: STEPS_LIMIT,
            walk: 0,
            room: SPARE_STACKS,
            parts: 0,
        };
        reading.state(Vec::new(), false);
        let code = Arc::clone(&reading.code);
        let mut ends = false;
        let starts = code.alternatives[code.root].iter();
        let starts = starts.filter_map(|at| reading.stack(*at, 0, &mut ends));
        let starts = starts.collect();
        let first = reading.open(starts, ends)?;
        Ok((reading, first))
    }

    /// Begins the choice of a token, of which `state` is where the text so far leads; the state's number afterwards.
    pub(super) fn begin(&mut self, state: u32) -> Read<u32> {
        self.steps = STEPS_LIMIT;
        if self.stacks.len() <= self.room && self.parts <= SPARE_PARTS {
            return Ok(state);
        }
        self.parts = 0;
        let State { stacks, ends, .. } = self.states[state as usize].clone();
        let old = std::mem::take(&mut self.stacks);
        self.numbers.clear();
        self.states.clear();
        self.states_by_stacks.clear();
        self.state(Vec::new(), false);
        let mut moved = vec![0; old.len() + 1];
        let mut kept = Vec::new();
        for top in stacks {
            // From the bottom up, as far as it is not there yet.
            let mut missing = Vec::new();
            let mut number = top;
            while number != 0 && moved[number as usize] == 0 {
                missing.push(number);
                number = old[number as usize - 1].below;
            }
            for number in missing.into_iter().rev() {
                let Stack { at, below, .. } = old[number as usize - 1];
                moved[number as usize] = self.push(at, moved[below as usize]);
            }
            kept.push(moved[top as usize]);
            if self.stacks.len() > STACKS_LIMIT {
                return Err(TooManyWays);
            }
        }
        self.room = SPARE_STACKS + 2 * self.stacks.len();
        Ok(self.state(kept, ends))
    }

    /// How many stacks are remembered.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.stacks.len()
    }

    /// Whether the text that leads to `state` may end.
    pub(super) fn ends(&self, state: u32) -> bool {
        self.states[state as usize].ends
    }

    /// Where `character` leads from `state`.
    pub(super) fn step(&mut self, state: u32, character: u32) -> Read<u32> {
        let at = self.edge(state, character)?;
        let edges = self.states[state as usize].edges.as_deref();
        let known = edges.map_or(DEAD, |edges| edges[at].1);
        if known != UNKNOWN {
            return Ok(known);
        }
        let is_read = |terminal: &Terminal| match terminal {
            Terminal::Character(set) => has(set, character),
            Terminal::Token(_) | Terminal::NotToken(_) => false,
        };
        let next = self.read(state, is_read)?;
        if let Some(edges) = self.states[state as usize].edges.as_deref_mut() {
            edges[at].1 = next;
        }
        Ok(next)
    }

    /// Where `token` leads from `state` by its name.
    pub(super) fn step_token(&mut self, state: u32, token: i32) -> Read<u32> {
        let is_read = |terminal: &Terminal| match terminal {
            Terminal::Character(_) => false,
            Terminal::Token(named) => *named == token,
            Terminal::NotToken(named) => *named != token,
        };
        self.read(state, is_read)
    }

    /// Where a text leads that has led to `a` and to `b`.
    pub(super) fn both(&mut self, a: u32, b: u32) -> Read<u32> {
        if a == DEAD || a == b {
            return Ok(b);
        }
        if b == DEAD {
            return Ok(a);
        }
        let (one, other) = (&self.states[a as usize], &self.states[b as usize]);
        let ends = one.ends || other.ends;
        let stacks = [&one.stacks[..], &other.stacks].concat();
        self.spend(stacks.len())?;
        Ok(self.state(stacks, ends))
    }

    /// The terminals that may come next.
    pub(super) fn terminals(&self, state: u32) -> impl Iterator<Item = &Terminal> {
        let stacks = self.states[state as usize].stacks.iter();
        stacks.filter_map(|stack| self.terminal(*stack))
    }

    fn spend(&mut self, steps: usize) -> Read<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(TooManyWays)?;
        Ok(())
    }

    /// The number of the terminal on top of an open stack.
    fn number(&self, stack: u32) -> Option<usize> {
        let at = self.stacks[stack as usize - 1].at;
        match self.code.elements[at as usize] {
            Element::Terminal(number) => Some(number),
            _ => None,
        }
    }

    fn terminal(&self, stack: u32) -> Option<&Terminal> {
        self.code.terminals.get(self.number(stack)?)
    }

    fn push(&mut self, at: u32, below: u32) -> u32 {
        let next = self.stacks.len() as u32 + 1;
        *self.numbers.entry((at, below)).or_insert_with(|| {
            self.stacks.push(Stack { at, below, walk: 0 });
            next
        })
    }

    /// The stack with the alternative from `at` on over `below`. `None` for the empty one, with which the text `ends`.
    fn stack(&mut self, at: u32, below: u32, ends: &mut bool) -> Option<u32> {
        if self.code.elements[at as usize] != Element::Or {
            return Some(self.push(at, below));
        }
        *ends |= below == 0;
        (below != 0).then_some(below)
    }

    /// The state of `stacks` whose tops are opened up to terminals.
    fn open(&mut self, stacks: Vec<u32>, mut ends: bool) -> Read<u32> {
        let code = Arc::clone(&self.code);
        self.walk += 1;
        let mut todo = stacks;
        let mut tops = Vec::new();
        while let Some(number) = todo.pop() {
            self.spend(1)?;
            let stack = &mut self.stacks[number as usize - 1];
            if std::mem::replace(&mut stack.walk, self.walk) == self.walk {
                continue;
            }
            let (at, below) = (stack.at, stack.below);
            let Element::Rule(rule) = code.elements[at as usize] else {
                tops.push(number);
                continue;
            };
            let mut is_empty = false;
            let below = self.stack(at + 1, below, &mut is_empty).unwrap_or(0);
            for at in &code.alternatives[rule] {
                todo.extend(self.stack(*at, below, &mut ends));
            }
        }
        Ok(self.state(tops, ends))
    }

    /// The number of a state.
    fn state(&mut self, mut stacks: Vec<u32>, ends: bool) -> u32 {
        stacks.sort_unstable();
        stacks.dedup();
        let next = self.states.len() as u32;
        let key = (stacks.into_boxed_slice(), ends);
        if let Some(number) = self.states_by_stacks.get(&key) {
            return *number;
        }
        self.parts += key.0.len();
        self.states.push(State {
            stacks: key.0.clone(),
            ends,
            edges: None,
        });
        self.states_by_stacks.insert(key, next);
        next
    }

    /// What is left of `state` after a terminal that `is_read`.
    fn read(&mut self, state: u32, is_read: impl Fn(&Terminal) -> bool) -> Read<u32> {
        // Whether a stack goes on costs little beside going on with it.
        self.spend(1 + self.states[state as usize].stacks.len() / 16)?;
        let stacks = self.states[state as usize].stacks.iter();
        let read = stacks.filter(|stack| self.terminal(**stack).is_some_and(&is_read));
        let read: Vec<u32> = read.copied().collect();
        let mut ends = false;
        let mut next = Vec::with_capacity(read.len());
        for stack in read {
            let Stack { at, below, .. } = self.stacks[stack as usize - 1];
            next.extend(self.stack(at + 1, below, &mut ends));
        }
        self.open(next, ends)
    }

    /// Which edge of `state` `character` is on.
    fn edge(&mut self, state: u32, character: u32) -> Read<usize> {
        if self.states[state as usize].edges.is_none() {
            let stacks = &self.states[state as usize].stacks;
            let mut numbers: Vec<usize> = stacks.iter().filter_map(|s| self.number(*s)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let mut starts = vec![0];
            for number in numbers {
                if let Terminal::Character(set) = &self.code.terminals[number] {
                    starts.extend(set.iter().flat_map(|(first, last)| [*first, last + 1]));
                }
            }
            let steps = stacks.len() / 16 + starts.len() / 4;
            self.spend(steps)?;
            starts.sort_unstable();
            starts.dedup();
            self.parts += starts.len();
            let edges = starts.into_iter().map(|start| (start, UNKNOWN));
            self.states[state as usize].edges = Some(edges.collect());
        }
        let edges = self.states[state as usize].edges.as_deref().unwrap_or(&[]);
        Ok(edges.partition_point(|(start, _)| *start <= character) - 1)
    }
}

/// Whether `set` has `character`.
pub(super) fn has(set: &[(u32, u32)], character: u32) -> bool {
    let next = set.partition_point(|(_, last)| *last < character);
    set.get(next).is_some_and(|(first, _)| *first <= character)
}
