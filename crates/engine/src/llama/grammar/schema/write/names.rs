//! Names of members other than the listed ones.
//!
//! They are written without escapes: an escape could spell a listed name in another way.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Checked;
use super::super::class::Class;
use super::{Writer, literal};

#[derive(Default)]
struct Tree {
    is_listed: bool,
    next: BTreeMap<char, Tree>,
}

impl Writer {
    /// A string that is none of `listed`.
    pub(super) fn name_but(&mut self, listed: BTreeSet<&str>) -> Checked<String> {
        let plain = Class::plain();
        let is_plain = |c: char| plain.and(&Class::of(c)) == Class::of(c);
        let mut root = Tree::default();
        // A name that needs an escape cannot be written anyway.
        for name in listed.into_iter().filter(|name| name.chars().all(is_plain)) {
            let mut tree = &mut root;
            for c in name.chars() {
                tree = tree.next.entry(c).or_default();
            }
            tree.is_listed = true;
        }
        let rest = self.rest_of_name(&root)?;
        Ok(format!("\"\\\"\" {rest} \"\\\"\""))
    }

    /// What may follow where `tree` was reached.
    fn rest_of_name(&mut self, tree: &Tree) -> Checked<String> {
        if tree.next.is_empty() && !tree.is_listed {
            return Ok("plain*".to_owned());
        }
        let mut ways = Vec::new();
        let mut taken = Vec::new();
        for (&c, next) in &tree.next {
            let rest = self.rest_of_name(next)?;
            ways.push(format!("{} {rest}", literal(&c.to_string())));
            taken.push((c.into(), c.into()));
        }
        let other = Class::new(&taken).negated().plain_element();
        ways.extend(other.map(|other| format!("{other} plain*")));
        if !tree.is_listed {
            ways.push("\"\"".to_owned());
        }
        self.rule(&ways.join(" | "))
    }
}
