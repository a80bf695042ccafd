//! Sets of characters, and how they stand in a JSON string.

use std::fmt::Write;

/// Characters as ranges of code points that rise and do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Class(Vec<(u32, u32)>);

const LAST: u32 = 0x10_ffff;
/// What stands in a JSON string as it is; halves of surrogate pairs are no characters.
const PLAIN: &[(u32, u32)] = &[
    (0x20, 0x21),
    (0x23, 0x5b),
    (0x5d, 0x7e),
    (0x80, 0xd7ff),
    (0xe000, LAST),
];
/// What has an escape of two letters, and its second.
const ESCAPED: &[(char, char)] = &[
    ('"', '"'),
    ('\\', '\\'),
    ('\n', 'n'),
    ('\r', 'r'),
    ('\t', 't'),
    ('\u{8}', 'b'),
    ('\u{c}', 'f'),
];

impl Class {
    pub(super) fn new(ranges: &[(u32, u32)]) -> Class {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Class(joined)
    }

    pub(super) fn of(c: char) -> Class {
        Class::new(&[(c.into(), c.into())])
    }

    pub(super) fn any_of(classes: impl Iterator<Item = Class>) -> Class {
        Class::new(&classes.flat_map(|class| class.0).collect::<Vec<_>>())
    }

    pub(super) fn plain() -> Class {
        Class::new(PLAIN)
    }

    pub(super) fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Every other character.
    pub(super) fn negated(&self) -> Class {
        let mut rest = Vec::new();
        let mut next = 0;
        for &(first, last) in &self.0 {
            if next < first {
                rest.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            rest.push((next, LAST));
        }
        Class(rest)
    }

    pub(super) fn and(&self, other: &Class) -> Class {
        let both = [self.negated().0, other.negated().0].concat();
        Class::new(&both).negated()
    }

    fn has(&self, c: u32) -> bool {
        self.0.iter().any(|&(first, last)| first <= c && c <= last)
    }

    /// The members that stand in a string as they are, as an element of a grammar; `None` without any.
    pub(super) fn plain_element(&self) -> Option<String> {
        let plain = self.and(&Class::plain());
        let mut element = String::new();
        for &(first, last) in plain.ranges() {
            push(&mut element, first);
            if first < last {
                element.push('-');
                push(&mut element, last);
            }
        }
        (!element.is_empty()).then(|| format!("[{element}]"))
    }

    /// The members as alternatives of a grammar, inside of a JSON string; `None` where no character is a member.
    ///
    /// Control characters without a short escape are left out of classes that have other members.
    pub(super) fn alternatives(&self) -> Option<String> {
        let mut ways: Vec<String> = self.plain_element().into_iter().collect();
        for &(c, letter) in ESCAPED {
            if self.has(c.into()) {
                ways.push(super::write::literal(&format!("\\{letter}")));
            }
        }
        if ways.is_empty() {
            let controls = (0..0x20).chain([0x7f]).filter(|&c| self.has(c));
            ways.extend(controls.map(|c| super::write::literal(&format!("\\u{c:04x}"))));
        }
        match ways.len() {
            0 => None,
            1 => ways.pop(),
            _ => Some(format!("({})", ways.join(" | "))),
        }
    }
}

fn push(text: &mut String, c: u32) {
    match char::from_u32(c) {
        Some(c) if c.is_ascii_alphanumeric() => text.push(c),
        // Writing to a string cannot fail.
        _ if c <= 0xff => drop(write!(text, "\\x{c:02X}")),
        _ if c <= 0xffff => drop(write!(text, "\\u{c:04X}")),
        _ => drop(write!(text, "\\U{c:08X}")),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn classes_join_negate_and_intersect() {
        let class = Class::new(&[(5, 9), (1, 2), (3, 4), (8, 20)]);
        assert_eq!(class.ranges(), [(1, 20)]);
        assert_eq!(class.negated().ranges(), [(0, 0), (21, LAST)]);
        assert_eq!(class.negated().negated(), class);
        let other = Class::new(&[(0, 3), (18, 30)]);
        assert_eq!(class.and(&other).ranges(), [(1, 3), (18, 20)]);
        assert_eq!(Class::new(&[]).negated().ranges(), [(0, LAST)]);
    }

    #[test]
    fn a_member_stands_in_a_string_as_json_wants_it() {
        let check = |class: Class, expect: Option<&str>| {
            assert_eq!(class.alternatives().as_deref(), expect);
        };
        check(Class::of('a'), Some("[a]"));
        check(Class::of('"'), Some(r#""\\\"""#));
        check(Class::of('\n'), Some(r#""\\n""#));
        check(Class::of('\u{1}'), Some(r#""\\u0001""#));
        check(
            Class::new(&[(0x21, 0x23)]),
            Some(r#"([\x21\x23] | "\\\"")"#),
        );
        check(Class::new(&[(0xd800, 0xdfff)]), None);
        check(Class::new(&[]), None);
    }
}
