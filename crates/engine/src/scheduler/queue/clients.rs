//! What clients were served, as virtual time.
//!
//! A client is active while it has jobs, waiting or running. One that becomes active starts no earlier than the active
//! client with the lowest time, so silence earns no credit; whoever is ahead stays ahead. It does not know classes, ages
//! or costs of anything.

use std::collections::BTreeMap;

/// Who is charged for a job: a conversation, or a key that the host gave to several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(pub u64);

/// The virtual times of all clients whose time matters.
#[derive(Default)]
pub(super) struct Clients {
    accounts: BTreeMap<Client, Account>,
}

#[derive(Default)]
struct Account {
    time: u64,
    jobs: usize,
}

impl Clients {
    /// Counts a new job of `client`.
    pub(super) fn enter(&mut self, client: Client) {
        let start = self.lowest_active().unwrap_or(0);
        let account = self.accounts.entry(client).or_default();
        if account.jobs == 0 {
            account.time = account.time.max(start);
        }
        account.jobs += 1;
    }

    /// Counts a job of `client` that is no more.
    pub(super) fn leave(&mut self, client: Client) {
        if let Some(account) = self.accounts.get_mut(&client) {
            account.jobs = account.jobs.saturating_sub(1);
        }
        // A silent client would come back at the lowest active time anyway, unless it is ahead of that. With nobody
        // active there is none to be ahead of.
        let start = self.lowest_active().unwrap_or(u64::MAX);
        self.accounts
            .retain(|_, account| account.jobs > 0 || account.time > start);
    }

    /// The jobs that are left are these; all others have ended.
    pub(super) fn recount(&mut self, left: impl Iterator<Item = Client>) {
        self.accounts
            .values_mut()
            .for_each(|account| account.jobs = 0);
        for client in left {
            self.accounts.entry(client).or_default().jobs += 1;
        }
        let start = self.lowest_active().unwrap_or(u64::MAX);
        self.accounts
            .retain(|_, account| account.jobs > 0 || account.time > start);
    }

    /// Clients with jobs.
    #[cfg(test)]
    pub(super) fn active(&self) -> usize {
        self.accounts.values().filter(|a| a.jobs > 0).count()
    }

    /// Adds to the time of `client`, if it is known.
    pub(super) fn charge(&mut self, client: Client, cost: u64) {
        if let Some(account) = self.accounts.get_mut(&client) {
            account.time = account.time.saturating_add(cost);
        }
    }

    /// The time of `client`; 0 if it is not known.
    pub(super) fn time(&self, client: Client) -> u64 {
        self.accounts.get(&client).map_or(0, |account| account.time)
    }

    fn lowest_active(&self) -> Option<u64> {
        let active = self.accounts.values().filter(|account| account.jobs > 0);
        active.map(|account| account.time).min()
    }
}
