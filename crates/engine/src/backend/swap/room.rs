//! Room for the next version: who goes to sleep for it, and who is waited for.

use std::thread;
use std::time::Instant;

use super::{LOOK, Swap};
use crate::backend::changes::change;
use crate::backend::lines;
use crate::backend::serving::Serving;
use crate::backend::version::Sleeper;
use crate::config;
use crate::error::{Error, Result};
use crate::machine;
use crate::models::{self, Budget, Name, Newcomer, Way};
use crate::status::{Change, Outcome};

impl Swap<'_> {
    /// Finds room for a newcomer. Versions that drain are waited for; a model that was chosen to go and is used again
    /// stays, and the choice is made anew.
    pub(super) fn make_room(
        &self,
        newcomer: &Newcomer,
        limit: u64,
        rules: &config::Swap,
    ) -> Result<Way> {
        let until = Instant::now() + rules.drain;
        loop {
            let budget = Budget {
                limit,
                free: machine::available(),
            };
            let tenants = self.fleet.tenants();
            let (way, gone) = match models::way(newcomer, &tenants, budget, rules.mode) {
                Some(found) => found,
                None if tenants.iter().any(|t| t.drains)
                    && Instant::now() < until
                    && !self.is_over() =>
                {
                    thread::sleep(LOOK);
                    continue;
                }
                None => return Err(no_room(newcomer, limit)),
            };
            if gone.iter().all(|name| self.put_to_sleep(name)) {
                return Ok(way);
            }
        }
    }

    /// Unloads a model that nobody uses. False: it is used again.
    fn put_to_sleep(&self, name: &Name) -> bool {
        let is_free = |serving: &Serving| !serving.is_used();
        let Some(old) = self.claim.put_to_sleep(name, is_free, Sleeper::of) else {
            log::debug!(target: "model", tag = "MODEL", model:% = name; "not unloaded: it is used again");
            return false;
        };
        lines::unloaded(&old);
        self.fleet.changes.add(Change {
            from: Some(old.label.to_string()),
            ..change(name, Outcome::PutToSleep)
        });
        old.engine.retire(false);
        self.fleet.let_go(old);
        self.fleet.give_back();
        true
    }
}

fn no_room(newcomer: &Newcomer, limit: u64) -> Error {
    let needed = newcomer.bytes.weights + newcomer.bytes.own;
    Error::Load(format!(
        "the model needs {} MiB, backend.max_model_memory_mb is {} and nothing else can be unloaded",
        needed.div_ceil(1 << 20),
        limit >> 20
    ))
}
