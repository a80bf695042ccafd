//! The backend ctxs: one for each instance of a module on hosts of B, one for each load on hosts of A; and one for each
//! module instance that calls through the native library, whatever the host.
//!
//! What a host holds is a number in the form of a pointer. On A it loses most of them and hands on stale ones, so there
//! only the end of one insists on it. Does not know what was made through a ctx.

use std::collections::BTreeSet;
use std::ffi::c_void;

use boundary::{Token, TokenSource};
use parking_lot::RwLock;

use crate::abi::Abi;
use crate::failure::Failure;
use crate::guest;
use crate::handles::Caller;

static TOKENS: TokenSource = TokenSource::new();
static OPEN: RwLock<BTreeSet<Token>> = RwLock::new(BTreeSet::new());

/// Begins an instance and returns what the host holds of it. Never fails: numbers of instances that ended come again.
pub(crate) fn open() -> Result<*mut c_void, Failure> {
    // A failed test says so itself.
    if cfg!(not(test)) {
        boundary::report_panics(guest::keep_panic);
    }
    let mut open = OPEN.write();
    let token = TOKENS.draw_free(|token| !open.contains(&token));
    open.insert(token);
    Ok(token.as_pointer())
}

/// Ends an instance and returns its number.
pub(crate) fn close(ctx: *mut c_void) -> Result<u32, Failure> {
    let removed = own(ctx).filter(|token| OPEN.write().remove(token));
    removed.map(Token::number).ok_or_else(unknown)
}

/// Who calls through `ctx`, on a host of this generation.
pub(crate) fn caller(ctx: *mut c_void, abi: Option<Abi>) -> Result<Caller, Failure> {
    let maker = own(ctx).filter(|token| OPEN.read().contains(token));
    judge(abi, maker.map(Token::number))
}

/// The instance that holds `ctx`, if it is open: what the host keeps for the module instance that calls.
pub(crate) fn known(ctx: *mut c_void) -> Option<Caller> {
    let token = own(ctx).filter(|token| OPEN.read().contains(token))?;
    Some(Caller {
        maker: token.number(),
        is_bound: true,
    })
}

/// Whether the instance of that number has not ended. What nobody made, never ends.
pub(crate) fn is_open(maker: u32) -> bool {
    maker == 0 || OPEN.read().iter().any(|token| token.number() == maker)
}

/// Ends what a caller has just made if its instance ended meanwhile: nobody else would.
pub(crate) fn check_open(ctx: *mut c_void, caller: Caller) -> Result<(), Failure> {
    let has_ended =
        caller.maker != 0 && !own(ctx).is_some_and(|token| OPEN.read().contains(&token));
    if has_ended {
        guest::end_instance(caller.maker);
        return Err(unknown());
    }
    Ok(())
}

fn judge(abi: Option<Abi>, maker: Option<u32>) -> Result<Caller, Failure> {
    match (abi, maker) {
        (Some(Abi::B), None) => Err(unknown()),
        (Some(Abi::B), Some(maker)) => Ok(Caller {
            maker,
            is_bound: true,
        }),
        (Some(Abi::A) | None, maker) => Ok(Caller {
            maker: maker.unwrap_or(0),
            is_bound: false,
        }),
    }
}

/// A token of this process; one from before a fork stands for nothing here.
fn own(ctx: *mut c_void) -> Option<Token> {
    Token::from_pointer(ctx).filter(|token| token.is_of_this_process())
}

fn unknown() -> Failure {
    Failure::InvalidArgument("ctx is NULL, ended or no backend handle".to_owned())
}

#[cfg(test)]
mod tests {
    use std::ptr::{null_mut, without_provenance_mut};

    use super::*;

    #[test]
    fn instance_ends_once() {
        let ctx = open().unwrap();
        let caller = caller(ctx, Some(Abi::B)).unwrap();
        assert!(caller.is_bound && caller.maker != 0);
        assert_eq!(check_open(ctx, caller), Ok(()));
        assert!(is_open(caller.maker) && is_open(0));
        assert_eq!(close(ctx), Ok(caller.maker));
        assert!(!is_open(caller.maker));
        assert_eq!(close(ctx), Err(unknown()));
        assert_eq!(check_open(ctx, caller), Err(unknown()));
        assert_eq!(close(null_mut()), Err(unknown()));
        assert_eq!(close(without_provenance_mut(8)), Err(unknown()));
    }

    #[test]
    fn only_b_insists_on_the_ctx_of_a_call() {
        let stale = open().unwrap();
        close(stale).unwrap();
        for ctx in [null_mut(), without_provenance_mut(0xdead_beef), stale] {
            assert_eq!(caller(ctx, Some(Abi::B)), Err(unknown()));
            for abi in [Some(Abi::A), None] {
                let nobody = Caller {
                    maker: 0,
                    is_bound: false,
                };
                assert_eq!(caller(ctx, abi), Ok(nobody));
            }
        }
        let ctx = open().unwrap();
        let on_a = caller(ctx, Some(Abi::A)).unwrap();
        assert!(on_a.maker != 0 && !on_a.is_bound);
    }
}
