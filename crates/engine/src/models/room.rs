//! Whether a model fits beside those that are loaded, and what must go if it does not.
//!
//! Pure: what is loaded and what is free come in as numbers. In bytes.

use std::collections::BTreeMap;

use super::registry::Name;
use crate::config::SwapMode;

/// What a version takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Its weights, which versions of one file share.
    pub weights: u64,
    /// Its cells and compute buffers.
    pub own: u64,
}

/// A version that is loaded.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its model.
    pub name: Name,
    /// Which weights it has.
    pub file: u64,
    /// What it takes.
    pub bytes: Bytes,
    /// Whether turns use it: then it cannot be unloaded.
    pub leased: bool,
    /// It was replaced and goes with its last turn: nothing else makes it go.
    pub drains: bool,
    /// When it was used, as a number that rises.
    pub used: u64,
}

/// What is to be loaded.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The model whose next version it is.
    pub name: Name,
    /// Which weights it has.
    pub file: u64,
    /// What it takes.
    pub bytes: Bytes,
}

/// What there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    /// What all models together may take; 0 for no such limit.
    pub limit: u64,
    /// What the machine has left; `None` where it does not tell.
    pub free: Option<u64>,
}

/// How a newcomer gets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Beside the version before, if there is one.
    Beside,
    /// In its place: it goes first.
    Replace,
}

/// How `newcomer` gets in, and which models are unloaded first; `None` where it does not. Models that nobody uses give way, the one unused for longest first, before the version that it
/// replaces does; a version that turns run on never gives way to another model's.
///
/// Without a limit nothing is unloaded and nothing refused: what merely is tight is the system's to refuse.
pub fn way(
    newcomer: &Newcomer,
    tenants: &[Tenant],
    budget: Budget,
    mode: SwapMode,
) -> Option<(Way, Vec<Name>)> {
    let is_old = |t: &Tenant| t.name == newcomer.name && !t.drains;
    let has_old = tenants.iter().any(is_old);
    let may_replace = has_old && mode != SwapMode::Beside;
    if budget.limit == 0 {
        let extra = total(tenants, Some(newcomer)) - total(tenants, None);
        let is_tight = budget.free.is_some_and(|free| extra > free);
        let way = match may_replace && (mode == SwapMode::Replace || is_tight) {
            true => Way::Replace,
            false => Way::Beside,
        };
        return Some((way, Vec::new()));
    }
    let without_old: Vec<Tenant> = tenants.iter().filter(|t| !is_old(t)).cloned().collect();
    let gone = |tenants: &[Tenant]| evictions(newcomer, tenants, budget.limit);
    let beside = || Some((Way::Beside, gone(tenants)?));
    let replaced = || Some((Way::Replace, gone(&without_old)?));
    match (mode, may_replace) {
        (SwapMode::Replace, true) => replaced(),
        (_, true) => beside().or_else(replaced),
        (_, false) => beside(),
    }
}

/// The models that must go for all others and the newcomer to stay within `limit`; `None` where that is not enough.
fn evictions(newcomer: &Newcomer, tenants: &[Tenant], limit: u64) -> Option<Vec<Name>> {
    let mut left = tenants.to_vec();
    let mut gone = Vec::new();
    while total(&left, Some(newcomer)) > limit {
        let victim = left
            .iter()
            .filter(|t| !t.leased && !t.drains && t.name != newcomer.name)
            .min_by_key(|t| t.used)?
            .name
            .clone();
        left.retain(|t| t.name != victim || t.drains);
        gone.push(victim);
    }
    Some(gone)
}

/// What they take together, weights of one file once.
fn total(tenants: &[Tenant], newcomer: Option<&Newcomer>) -> u64 {
    let all = tenants.iter().map(|t| (t.file, t.bytes));
    let all = all.chain(newcomer.map(|n| (n.file, n.bytes)));
    let mut weights = BTreeMap::new();
    let mut own: u64 = 0;
    for (file, bytes) in all {
        let known = weights.entry(file).or_insert(0);
        *known = bytes.weights.max(*known);
        own = own.saturating_add(bytes.own);
    }
    weights.values().fold(own, |sum, w| sum.saturating_add(*w))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, file: u64, weights: u64, own: u64, leased: bool, used: u64) -> Tenant {
        Tenant {
            name: name.into(),
            file,
            bytes: Bytes { weights, own },
            leased,
            drains: false,
            used,
        }
    }

    fn newcomer(name: &str, file: u64, weights: u64, own: u64) -> Newcomer {
        Newcomer {
            name: name.into(),
            file,
            bytes: Bytes { weights, own },
        }
    }

    fn limit(limit: u64) -> Budget {
        Budget { limit, free: None }
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|&n| n.into()).collect()
    }

    #[test]
    fn without_a_limit_only_the_machine_decides_and_nobody_else_goes() {
        let tenants = [
            tenant("a", 1, 100, 10, true, 1),
            tenant("b", 2, 50, 5, false, 2),
        ];
        let new = newcomer("a", 3, 80, 10);
        let free = |free| Budget {
            limit: 0,
            free: Some(free),
        };
        let of = |budget, mode| way(&new, &tenants, budget, mode);
        assert_eq!(of(free(90), SwapMode::Auto), Some((Way::Beside, vec![])));
        assert_eq!(of(free(89), SwapMode::Auto), Some((Way::Replace, vec![])));
        assert_eq!(of(free(89), SwapMode::Beside), Some((Way::Beside, vec![])));
        assert_eq!(
            of(free(1000), SwapMode::Replace),
            Some((Way::Replace, vec![]))
        );
        // There is nothing to replace.
        let other = newcomer("c", 3, 80, 10);
        assert_eq!(
            way(&other, &tenants, free(1), SwapMode::Replace),
            Some((Way::Beside, vec![]))
        );
    }

    #[test]
    fn the_same_file_is_counted_once() {
        let tenants = [tenant("a", 1, 100, 10, true, 1)];
        let new = newcomer("b", 1, 100, 20);
        assert_eq!(
            way(&new, &tenants, limit(130), SwapMode::Auto),
            Some((Way::Beside, vec![]))
        );
        assert_eq!(way(&new, &tenants, limit(129), SwapMode::Auto), None);
    }

    #[test]
    fn unused_models_go_first_the_one_unused_for_longest_before_the_others() {
        let tenants = [
            tenant("a", 1, 100, 0, true, 9),
            tenant("b", 2, 50, 0, false, 7),
            tenant("c", 3, 50, 0, false, 3),
            tenant("d", 4, 50, 0, true, 1),
        ];
        let new = newcomer("a", 5, 100, 0);
        let of = |bytes| way(&new, &tenants, limit(bytes), SwapMode::Auto);
        assert_eq!(of(350), Some((Way::Beside, names(&[]))));
        assert_eq!(of(349), Some((Way::Beside, names(&["c"]))));
        assert_eq!(of(299), Some((Way::Beside, names(&["c", "b"]))));
        assert_eq!(of(249), Some((Way::Replace, names(&["c"]))));
        assert_eq!(of(199), Some((Way::Replace, names(&["c", "b"]))));
        assert_eq!(of(149), None);
    }

    #[test]
    fn a_used_version_of_another_model_never_gives_way() {
        let tenants = [tenant("a", 1, 100, 0, true, 1)];
        let new = newcomer("b", 2, 100, 0);
        assert_eq!(way(&new, &tenants, limit(199), SwapMode::Auto), None);
        assert_eq!(
            way(
                &newcomer("a", 2, 100, 0),
                &tenants,
                limit(199),
                SwapMode::Beside
            ),
            None
        );
    }

    #[test]
    fn a_version_that_drains_keeps_its_memory_whoever_comes() {
        let mut old = tenant("a", 1, 100, 0, true, 1);
        old.drains = true;
        let new = newcomer("a", 2, 100, 0);
        let of = |bytes| {
            way(
                &new,
                std::slice::from_ref(&old),
                limit(bytes),
                SwapMode::Auto,
            )
        };
        assert_eq!(of(200), Some((Way::Beside, vec![])));
        assert_eq!(of(199), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_let_in_fits_and_nothing_in_use_goes(
            tenants in proptest::collection::vec((0..4_u64, 0..6_u64, 0..100_u64, 0..50_u64, proptest::bool::ANY), 0..6),
            (model, file, weights, own) in (0..8_u64, 0..6_u64, 0..100_u64, 0..50_u64),
            bytes in 1..500_u64,
        ) {
            let mut seen = std::collections::BTreeSet::new();
            let tenants: Vec<Tenant> = tenants
                .into_iter()
                .filter(|t| seen.insert(t.0))
                .enumerate()
                .map(|(n, (name, file, weights, own, leased))| {
                    tenant(&name.to_string(), file, weights, own, leased, n as u64)
                })
                .collect();
            let new = newcomer(&model.to_string(), file, weights, own);
            let (gone, replaced) = match way(&new, &tenants, limit(bytes), SwapMode::Auto) {
                Some((way, gone)) => (gone, way == Way::Replace),
                None => return Ok(()),
            };
            for tenant in &tenants {
                proptest::prop_assert!(!(tenant.leased && gone.contains(&tenant.name)));
            }
            let left: Vec<Tenant> = tenants
                .into_iter()
                .filter(|t| !gone.contains(&t.name) && (!replaced || t.name != new.name))
                .collect();
            proptest::prop_assert!(total(&left, Some(&new)) <= bytes);
        }
    }
}
