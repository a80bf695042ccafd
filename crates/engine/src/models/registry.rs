//! Which version of the model is current.
//!
//! A lease is a share of the current version: whoever holds one keeps that version alive, and a replaced version ends
//! with its last lease. One load at a time; nobody holds a lock while loading.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex, RwLock};

/// The current version of something that is replaced while in use. Any thread.
#[derive(Debug)]
pub struct Registry<T> {
    current: RwLock<Option<Arc<T>>>,
    loading: Mutex<bool>,
    loaded: Condvar,
}

/// The right to load; dropping it lets the next one in.
#[derive(Debug)]
pub struct Claim<'a, T> {
    registry: &'a Registry<T>,
}

impl<T> Registry<T> {
    /// Without a current version.
    pub fn new() -> Registry<T> {
        Registry {
            current: RwLock::new(None),
            loading: Mutex::new(false),
            loaded: Condvar::new(),
        }
    }

    /// A share of the current version, for one turn.
    pub fn lease(&self) -> Option<Arc<T>> {
        self.current.read().clone()
    }

    /// Looks at the current version without a share of it: a replacement waits for `look`, which must be short.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.current.read().as_deref().map(look)
    }

    /// Waits until no other load runs, and keeps others out until the claim is dropped.
    pub fn claim(&self) -> Claim<'_, T> {
        let mut loading = self.loading.lock();
        while *loading {
            self.loaded.wait(&mut loading);
        }
        *loading = true;
        Claim { registry: self }
    }
}

impl<T> Claim<'_, T> {
    /// Makes `next` current; new leases are of it. Gives the version before.
    pub fn replace(&self, next: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut *self.registry.current.write(), next)
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        *self.registry.loading.lock() = false;
        self.registry.loaded.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_lease_outlives_the_swap_and_the_old_version_ends_with_it() {
        let registry = Registry::new();
        registry.claim().replace(Some(Arc::new("a")));
        let lease = registry.lease().unwrap();
        let old = registry.claim().replace(Some(Arc::new("b"))).unwrap();
        assert_eq!((*lease, *registry.lease().unwrap()), ("a", "b"));
        let weak = Arc::downgrade(&old);
        drop(old);
        assert!(weak.upgrade().is_some());
        drop(lease);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn loads_run_one_at_a_time() {
        let registry: Registry<u32> = Registry::new();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (registry, inside) = (&registry, &inside);
                scope.spawn(move || {
                    let claim = registry.claim();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    claim.replace(Some(Arc::new(n)));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!(registry.lease().is_some());
    }
}
