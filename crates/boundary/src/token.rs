//! Opaque pointers that are numbers: what a host holds instead of an address.
//!
//! Layout of the 64 bits, from the top:
//!
//! | Bits | Content |
//! | --- | --- |
//! | 12 | 0x7a5: no user-space address of x86-64 (48 or 57 bits, with or without masked bits) or aarch64 has them |
//! | 22 | process that the token belongs to (Linux numbers processes below 2^22) |
//! | 30 | rising number, never 0; given a second time only by [`TokenSource::draw_free`], after all others |
//!
//! Does not know what a token stands for.

use std::ffi::c_void;
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicU32, Ordering};

const MARK: u64 = 0x7a5;
const PROCESS_BITS: u32 = 22;
const NUMBER_BITS: u32 = 30;

/// A handle as a host sees it. Never dereferenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(u64);

impl Token {
    /// The token in a pointer that a host passed, if it has the form of one. It may be stale or made up.
    pub fn from_pointer(pointer: *mut c_void) -> Option<Token> {
        let bits = pointer as u64;
        (bits >> (PROCESS_BITS + NUMBER_BITS) == MARK).then_some(Token(bits))
    }

    /// The pointer that stands for this token.
    pub fn as_pointer(self) -> *mut c_void {
        without_provenance_mut(self.0 as usize)
    }

    /// Whether it was drawn by this process and not by one that this process was forked from.
    pub fn is_of_this_process(self) -> bool {
        self.process() == this_process()
    }

    /// The rising number in it, never 0.
    pub fn number(self) -> u32 {
        (self.0 & mask(NUMBER_BITS)) as u32
    }

    fn process(self) -> u64 {
        (self.0 >> NUMBER_BITS) & mask(PROCESS_BITS)
    }
}

/// Where the tokens of a door come from.
#[derive(Debug)]
pub struct TokenSource {
    drawn: AtomicU32,
}

impl TokenSource {
    /// A source that has drawn none.
    #[expect(
        clippy::new_without_default,
        reason = "a const constructor for a static, not a default value"
    )]
    pub const fn new() -> TokenSource {
        TokenSource {
            drawn: AtomicU32::new(0),
        }
    }

    /// A token of this process that was never drawn before; none when all numbers are used up.
    pub fn draw(&self) -> Option<Token> {
        let next =
            |drawn: u32| Some(drawn + 1).filter(|&next| u64::from(next) <= mask(NUMBER_BITS));
        let drawn = self
            .drawn
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .ok()?;
        Some(token(u64::from(drawn) + 1))
    }

    /// A token of this process that `is_free`. The numbers rise; after the last comes the first. For holders that come
    /// and go as long as the process lives. Fewer than all numbers must be taken.
    ///
    /// A source is for this or for [`TokenSource::draw`], not for both.
    pub fn draw_free(&self, is_free: impl Fn(Token) -> bool) -> Token {
        loop {
            let drawn = u64::from(self.drawn.fetch_add(1, Ordering::Relaxed));
            let token = token(drawn % mask(NUMBER_BITS) + 1);
            if is_free(token) {
                return token;
            }
        }
    }
}

/// The token of this process with that number, from 1 on.
fn token(number: u64) -> Token {
    let process = this_process() << NUMBER_BITS;
    let mark = MARK << (PROCESS_BITS + NUMBER_BITS);
    Token(mark | process | number)
}

fn this_process() -> u64 {
    u64::from(std::process::id()) & mask(PROCESS_BITS)
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use super::*;

    #[test]
    fn tokens_rise_and_survive_the_way_through_a_pointer() {
        let source = TokenSource::new();
        let (first, second) = (source.draw().unwrap(), source.draw().unwrap());
        assert!(first < second);
        assert_eq!((first.number(), second.number()), (1, 2));
        assert_eq!(Token::from_pointer(first.as_pointer()), Some(first));
        assert!(first.is_of_this_process());
    }

    #[test]
    fn pointers_are_not_tokens() {
        let local = 0u8;
        let heap = Box::new(0u8);
        for pointer in [
            null_mut(),
            without_provenance_mut(1),
            without_provenance_mut(usize::MAX),
            without_provenance_mut(0xdead_beef),
            (&raw const local).cast_mut().cast(),
            (&raw const *heap).cast_mut().cast(),
        ] {
            assert_eq!(Token::from_pointer(pointer), None);
        }
    }

    #[test]
    fn top_bits_are_those_of_no_address() {
        let bits = TokenSource::new().draw().unwrap().0;
        // With 57-bit addresses bits 57 to 63 of a user address are 0, with 48-bit ones bits 48 to 63.
        assert_ne!(bits >> 57, 0);
        // Machines that ignore the top byte look at the bits below it.
        assert_ne!((bits >> 52) & 0xf, 0);
        assert_eq!(bits >> 63, 0);
    }

    #[test]
    fn token_of_another_process_is_told_apart() {
        let own = TokenSource::new().draw().unwrap();
        let foreign = Token(own.0 ^ (1 << NUMBER_BITS));
        assert_eq!(Token::from_pointer(foreign.as_pointer()), Some(foreign));
        assert!(!foreign.is_of_this_process());
    }

    #[test]
    fn free_tokens_do_not_run_out_and_are_never_those_in_use() {
        let source = TokenSource::new();
        let first = source.draw_free(|_| true);
        assert_eq!(first.number(), 1);
        // All numbers but the last were given out since.
        let last = (1 << NUMBER_BITS) - 2;
        source.drawn.store(last, Ordering::Relaxed);
        let is_free = |token: Token| token != first;
        assert_eq!(source.draw_free(is_free).number(), last + 1);
        let next = source.draw_free(is_free);
        assert_eq!(next.number(), 2, "1 is in use");
        assert_eq!(Token::from_pointer(next.as_pointer()), Some(next));
    }

    #[test]
    fn exhausted_source_draws_nothing_ever_again() {
        let source = TokenSource::new();
        source
            .drawn
            .store((1 << NUMBER_BITS) - 2, Ordering::Relaxed);
        assert!(source.draw().is_some());
        assert_eq!(source.draw(), None);
        assert_eq!(source.draw(), None);
    }
}
