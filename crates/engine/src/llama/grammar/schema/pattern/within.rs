//! A pattern together with bounds on its length, where one part alone decides how long a string is.

use super::super::class::Class;
use super::super::text::Length;
use super::Pattern;

impl Pattern {
    /// The strings whose length lies within `bounds`: nothing where there are none. `None` where several parts vary in
    /// length, as the bounds are about all of them together then.
    pub(in super::super) fn within(&self, bounds: Length) -> Option<Option<Pattern>> {
        let own = self.length();
        let is_below = own.most.is_some_and(|most| most < bounds.least);
        if is_below || bounds.most.is_some_and(|most| own.least > most) {
            return Some(None);
        }
        if bounds.has(own) {
            return Some(Some(self.clone()));
        }
        match self {
            Pattern::One(_) => None,
            Pattern::Any => repeated(&any(), 0, None, bounds),
            Pattern::Repeat { part, least, most } => repeated(part, *least, *most, bounds),
            Pattern::Choice(ways) => {
                let ways: Option<Vec<Option<Pattern>>> =
                    ways.iter().map(|way| way.within(bounds)).collect();
                let mut ways: Vec<Pattern> = ways?.into_iter().flatten().collect();
                Some(match ways.len() {
                    0 | 1 => ways.pop(),
                    _ => Some(Pattern::Choice(ways)),
                })
            }
            Pattern::Sequence(parts) => sequence(parts, bounds),
        }
    }
}

fn any() -> Pattern {
    Pattern::One(Class::new(&[]).negated())
}

fn repeated(
    part: &Pattern,
    least: u64,
    most: Option<u64>,
    bounds: Length,
) -> Option<Option<Pattern>> {
    let one = part.length();
    let size = one.most.filter(|most| *most == one.least && *most > 0)?;
    let least = least.max(bounds.least.div_ceil(size));
    let most = most
        .into_iter()
        .chain(bounds.most.map(|most| most / size))
        .min();
    let is_possible = most.is_none_or(|most| least <= most);
    Some(is_possible.then(|| Pattern::Repeat {
        part: Box::new(part.clone()),
        least,
        most,
    }))
}

fn sequence(parts: &[Pattern], bounds: Length) -> Option<Option<Pattern>> {
    let mut parts = joined(parts);
    let varies = |part: &Pattern| {
        let Length { least, most } = part.length();
        most != Some(least)
    };
    let mut varying = (0..parts.len()).filter(|at| varies(&parts[*at]));
    let (at, None) = (varying.next()?, varying.next()) else {
        return None;
    };
    let others = parts.iter().enumerate().filter(|(other, _)| *other != at);
    let fixed: u64 = others.map(|(_, part)| part.length().least).sum();
    let rest = Length {
        least: bounds.least.saturating_sub(fixed),
        // Fewer than the fixed ones was looked at before.
        most: bounds.most.map(|most| most.saturating_sub(fixed)),
    };
    Some(parts[at].within(rest)?.map(|part| {
        parts[at] = part;
        Pattern::Sequence(parts)
    }))
}

/// `parts` without sequences among them, and with what any characters swallow left out.
fn joined(parts: &[Pattern]) -> Vec<Pattern> {
    let mut all: Vec<Pattern> = Vec::new();
    for part in parts {
        match part {
            Pattern::Sequence(parts) => all.extend(joined(parts)),
            part => all.push(part.clone()),
        }
    }
    let mut kept: Vec<Pattern> = Vec::new();
    for part in all {
        if part == Pattern::Any {
            while kept.last().is_some_and(is_swallowed) {
                kept.pop();
            }
        }
        if kept.last() != Some(&Pattern::Any) || !is_swallowed(&part) {
            kept.push(part);
        }
    }
    kept
}

/// Whether any characters beside it say the same without it: it may be empty.
fn is_swallowed(part: &Pattern) -> bool {
    part.may_be_empty()
}

#[cfg(test)]
mod unit {
    use super::super::parse;
    use super::*;

    #[test]
    fn one_part_that_varies_takes_the_bounds() {
        let check = |text: &str, least: u64, most: Option<u64>, expect: Option<Option<&str>>| {
            let narrowed = parse(text).unwrap().within(Length { least, most });
            let length = |pattern: &Pattern| pattern.length();
            let expect = expect.map(|text| text.map(|text| parse(text).unwrap()));
            assert_eq!(
                narrowed.as_ref().map(|found| found.as_ref().map(length)),
                expect.as_ref().map(|found| found.as_ref().map(length)),
                "{text}"
            );
            if !text.contains('.') {
                assert_eq!(narrowed, expect, "{text}");
            }
        };
        check("^[a-z]+$", 3, Some(10), Some(Some("^[a-z]{3,10}$")));
        check("^[a-z]+$", 0, Some(10), Some(Some("^[a-z]{1,10}$")));
        check("^ab[c]*d$", 5, Some(6), Some(Some("^ab[c]{2,3}d$")));
        check("^a{2,5}$", 0, Some(4), Some(Some("^a{2,4}$")));
        check("^(ab)+$", 3, Some(7), Some(Some("^(ab){2,3}$")));
        check("^(ab)+$", 3, Some(3), Some(None));
        check("^a{2,5}$", 6, None, Some(None));
        check("^abc$", 4, None, Some(None));
        check("^ab.*", 4, Some(6), Some(Some("^ab.{2,4}$")));
        check(
            "^(a|b{3}|c{5,9})$",
            3,
            Some(6),
            Some(Some("^(b{3}|c{5,6})$")),
        );
        // Bounds on two parts together.
        check("^a+b+$", 3, Some(10), None);
        check("a", 0, Some(3), None);
    }
}
