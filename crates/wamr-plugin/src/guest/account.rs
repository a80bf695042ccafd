//! Bytes that several holders take on one account, up to a limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

/// Bytes of prompts and answers that the contexts of one instance hold together.
const TEXTS_OF_ONE: u64 = 256 << 20;

/// The accounts of instances that hold texts, by the number of the instance.
static TEXTS: LazyLock<Mutex<HashMap<u32, Weak<Account>>>> = LazyLock::new(Mutex::default);

/// An account of bytes.
#[derive(Debug)]
pub struct Account {
    most: u64,
    taken: AtomicU64,
}

/// What one holder has taken; given back with it.
#[derive(Debug)]
pub struct Share {
    account: Arc<Account>,
    bytes: u64,
}

impl Account {
    /// An account of `most` bytes.
    pub fn new(most: u64) -> Account {
        Account {
            most,
            taken: AtomicU64::new(0),
        }
    }

    /// A share of nothing yet.
    pub fn share(self: &Arc<Account>) -> Share {
        Share {
            account: self.clone(),
            bytes: 0,
        }
    }

    /// The account of the texts of an instance.
    pub fn of_texts(maker: u32) -> Arc<Account> {
        let mut all = TEXTS.lock();
        if let Some(account) = all.get(&maker).and_then(Weak::upgrade) {
            return account;
        }
        all.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Account::new(TEXTS_OF_ONE));
        all.insert(maker, Arc::downgrade(&account));
        account
    }
}

impl Share {
    /// Makes this a share of `bytes`; false, and as it was, where the account has not so many more.
    pub fn try_set(&mut self, bytes: u64) -> bool {
        let order = Ordering::Relaxed;
        let more = bytes.saturating_sub(self.bytes);
        let take = |taken: u64| {
            taken
                .checked_add(more)
                .filter(|&sum| more == 0 || sum <= self.account.most)
        };
        if self.account.taken.fetch_update(order, order, take).is_err() {
            return false;
        }
        let less = self.bytes.saturating_sub(bytes);
        self.account.taken.fetch_sub(less, order);
        self.bytes = bytes;
        true
    }

    /// Makes this a share of `bytes` that are there already, beyond the limit if need be.
    pub fn set(&mut self, bytes: u64) {
        self.account.taken.fetch_add(bytes, Ordering::Relaxed);
        self.account.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// Whether more is taken of its account than the limit.
    pub fn is_overdrawn(&self) -> bool {
        self.account.taken.load(Ordering::Relaxed) > self.account.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_one_account_do_not_exceed_it_and_come_back() {
        let account = Arc::new(Account::new(10));
        let (mut one, mut other) = (account.share(), account.share());
        assert!(one.try_set(6) && !other.try_set(5) && other.try_set(4));
        assert!(!one.try_set(7), "and has kept its 6");
        assert!(!other.try_set(u64::MAX));
        assert!(one.try_set(2) && other.try_set(8) && !one.try_set(3));
        drop(other);
        assert!(one.try_set(10));
    }

    #[test]
    fn what_is_there_already_counts_until_it_goes() {
        let account = Arc::new(Account::new(10));
        let (mut one, mut other) = (account.share(), account.share());
        one.set(25);
        assert!(other.is_overdrawn() && !other.try_set(1));
        assert!(one.try_set(12), "less can always be had");
        one.set(3);
        assert!(other.try_set(7) && !other.try_set(8));
    }
}
