//! What one rendering may use, and has used.
//!
//! Charges come before the deed: who is about to copy a text says its length first. Bytes are those held at a time and
//! are given back when a value goes; fuel is never given back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::error::{Error, Limit, Result};

/// Bytes that are looked at or copied for one unit of fuel; about as quick as one step of the interpreter.
const BYTES_PER_FUEL: usize = 32;

/// Units of fuel between two looks at the clock.
const FUEL_PER_LOOK: u64 = 4096;

/// Levels of calls, blocks and expressions inside each other. One takes at most some 2 KiB of stack.
pub const MAX_LEVELS: u32 = 600;

/// Levels of lists and mappings inside each other.
pub const MAX_NESTING: u32 = 200;

/// The bounds of one rendering. They grow with what is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps of the interpreter, and portions of bytes that are looked at.
    pub fuel: u64,
    /// More fuel for each byte of input.
    pub fuel_per_byte: u64,
    /// Bytes held at a time, output included.
    pub bytes: usize,
    /// More bytes for each byte of input.
    pub bytes_per_byte: usize,
    /// Time from the first step to the last.
    pub time: Duration,
}

impl Default for Limits {
    /// A second or two of work, and memory that a process can spare; a conversation of 1,000 turns takes a tenth.
    fn default() -> Limits {
        Limits {
            fuel: 20_000_000,
            fuel_per_byte: 32,
            bytes: 64 << 20,
            bytes_per_byte: 16,
            time: Duration::from_secs(20),
        }
    }
}

/// Bytes on the account for as long as this lives.
pub struct Hold {
    bytes: usize,
    budget: Rc<Budget>,
}

impl Hold {
    /// Takes `bytes`. Errors: `Limit`.
    pub fn new(bytes: usize, budget: &Rc<Budget>) -> Result<Hold> {
        budget.hold(bytes)?;
        Ok(Hold {
            bytes,
            budget: budget.clone(),
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

/// What a rendering has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Fuel.
    pub fuel: u64,
    /// Bytes held at the fullest moment.
    pub bytes: usize,
}

/// The account of one rendering.
pub struct Budget {
    fuel: Cell<u64>,
    fuel_limit: Cell<u64>,
    held: Cell<usize>,
    most_held: Cell<usize>,
    held_limit: Cell<usize>,
    next_look: Cell<u64>,
    deadline: Instant,
}

impl Budget {
    /// An account within `limits`, before its input is known.
    pub fn new(limits: &Limits) -> Budget {
        Budget {
            fuel: Cell::new(0),
            fuel_limit: Cell::new(limits.fuel),
            held: Cell::new(0),
            most_held: Cell::new(0),
            held_limit: Cell::new(limits.bytes),
            next_look: Cell::new(FUEL_PER_LOOK),
            deadline: Instant::now() + limits.time,
        }
    }

    /// Grows with `bytes` of input.
    pub fn grow(&self, limits: &Limits, bytes: usize) {
        let fuel = limits.fuel_per_byte.saturating_mul(bytes as u64);
        self.fuel_limit
            .set(self.fuel_limit.get().saturating_add(fuel));
        let held = limits.bytes_per_byte.saturating_mul(bytes);
        self.held_limit
            .set(self.held_limit.get().saturating_add(held));
    }

    /// Takes `units` of fuel.
    pub fn spend(&self, units: u64) -> Result<()> {
        let fuel = self.fuel.get().saturating_add(units);
        self.fuel.set(fuel);
        if fuel > self.fuel_limit.get() {
            return Err(Error::Limit(Limit::Fuel));
        }
        if fuel >= self.next_look.get() {
            self.next_look.set(fuel + FUEL_PER_LOOK);
            if Instant::now() > self.deadline {
                return Err(Error::Limit(Limit::Time));
            }
        }
        Ok(())
    }

    /// Takes the fuel for looking at `bytes`.
    pub fn look(&self, bytes: usize) -> Result<()> {
        self.spend(1 + (bytes / BYTES_PER_FUEL) as u64)
    }

    /// Takes `bytes` of memory, and the fuel for filling them.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        let held = self.held.get().saturating_add(bytes);
        if held > self.held_limit.get() {
            return Err(Error::Limit(Limit::Bytes));
        }
        self.look(bytes)?;
        self.held.set(held);
        self.most_held.set(self.most_held.get().max(held));
        Ok(())
    }

    /// Gives `bytes` back.
    pub fn release(&self, bytes: usize) {
        self.held.set(self.held.get().saturating_sub(bytes));
    }

    /// What has been used so far.
    pub fn spent(&self) -> Spent {
        Spent {
            fuel: self.fuel.get(),
            bytes: self.most_held.get(),
        }
    }
}
