//! Names: how a written key finds the one that was meant, and what an unknown one may have meant.

use serde_json::{Map, Value};

/// The entry of `object` under `name`: spelled exactly so, else with `-` for `_`, else in other letter case.
pub(super) fn find<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Option<(&'a String, &'a Value)> {
    if let Some(exact) = object.get_key_value(name) {
        return Some(exact);
    }
    let dashed = object.iter().find(|(key, _)| {
        key.len() == name.len()
            && key
                .bytes()
                .zip(name.bytes())
                .all(|(key, name)| dash_as_underscore(key) == name)
    });
    dashed.or_else(|| object.iter().find(|(key, _)| is_same(key, name)))
}

/// Whether a written key is `name` in some accepted spelling.
pub(super) fn is_same(key: &str, name: &str) -> bool {
    key.len() == name.len()
        && key
            .bytes()
            .zip(name.bytes())
            .all(|(key, name)| dash_as_underscore(key).eq_ignore_ascii_case(&name))
}

fn dash_as_underscore(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

/// The one of `names` that `key` is most probably a slip of: at most two edits away, or a third of its length.
pub(super) fn nearest(
    key: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let key: Vec<u8> = key
        .bytes()
        .map(|byte| dash_as_underscore(byte).to_ascii_lowercase())
        .collect();
    let most = (key.len() / 3).max(2);
    names
        .filter(|name| name.len().abs_diff(key.len()) <= most)
        .map(|name| (distance(&key, name.as_bytes()), name))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements that turn one into the other (Levenshtein).
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(!left.eq_ignore_ascii_case(right));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        let check = |left: &str, right: &str, expect| {
            assert_eq!(distance(left.as_bytes(), right.as_bytes()), expect);
        };
        check("", "", 0);
        check("temp", "", 4);
        check("top_kk", "top_k", 1);
        check("tpo_k", "top_k", 2);
        check("kitten", "sitting", 3);
    }

    #[test]
    fn two_edits_or_a_third_of_the_length_are_forgiven() {
        let names = ["top_k", "queue_warning_threshold"];
        let check = |key, expect| assert_eq!(nearest(key, names.into_iter()), expect);
        check("top-KK", Some("top_k"));
        check("topkay", None);
        check("que_warning_threshhold", Some("queue_warning_threshold"));
        check("queue_warn_thres", None);
        check("", None);
    }
}
