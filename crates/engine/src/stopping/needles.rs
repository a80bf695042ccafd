//! Stop strings in a text that arrives in pieces: the text is cut before some of them, and behind others.
//!
//! The result does not depend on where the pieces are cut: the match that is reported is the leftmost one of the whole
//! text. So a match waits while a string that began before it may still complete. Each stop string is followed by its
//! own Knuth-Morris-Pratt automaton: constant work per byte and string, whatever was held back before.

/// Compiled stop strings.
#[derive(Debug)]
pub struct Needles(Vec<Needle>);

#[derive(Debug)]
struct Needle {
    text: String,
    /// It stays in the text, which is cut behind it.
    is_kept: bool,
    /// `fallback[n]`: length of the longest proper prefix of the first n bytes that is also their suffix.
    fallback: Vec<usize>,
}

/// A stop string in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Byte of the text where it begins.
    pub start: usize,
    /// Byte at which the text is cut.
    pub cut: usize,
    /// Index of the stop string.
    pub needle: usize,
}

/// How far each stop string is matched at the end of the text.
#[derive(Debug)]
pub struct Scan {
    matched: Vec<usize>,
    position: usize,
    pending: Option<Found>,
}

impl Needles {
    /// Compiles texts before which, and texts behind which the text is cut; empty ones never match.
    pub fn new(before: &[String], behind: &[String]) -> Needles {
        let before = before.iter().map(|text| Needle::new(text, false));
        let behind = behind.iter().map(|text| Needle::new(text, true));
        Needles(before.chain(behind).collect())
    }

    /// The stop string `index`.
    pub fn text(&self, index: usize) -> &str {
        &self.0[index].text
    }

    /// A scan at the start of a text.
    pub fn start(&self) -> Scan {
        Scan {
            matched: vec![0; self.0.len()],
            position: 0,
            pending: None,
        }
    }
}

impl Needle {
    fn new(text: &str, is_kept: bool) -> Needle {
        let bytes = text.as_bytes();
        let mut fallback = vec![0; bytes.len() + 1];
        let mut length = 0;
        for at in 1..bytes.len() {
            while length > 0 && bytes[at] != bytes[length] {
                length = fallback[length];
            }
            length += usize::from(bytes[at] == bytes[length]);
            fallback[at + 1] = length;
        }
        Needle {
            text: text.to_owned(),
            is_kept,
            fallback,
        }
    }

    fn step(&self, mut matched: usize, byte: u8) -> usize {
        let bytes = self.text.as_bytes();
        while matched > 0 && bytes.get(matched) != Some(&byte) {
            matched = self.fallback[matched];
        }
        matched + usize::from(bytes.get(matched) == Some(&byte))
    }
}

impl Scan {
    /// Takes the next piece of the text; returns the leftmost match (the longest at its place) once it is certain.
    pub fn feed(&mut self, needles: &Needles, piece: &str) -> Option<Found> {
        for &byte in piece.as_bytes() {
            self.position += 1;
            self.byte(needles, byte);
            if let Some(found) = self.pending
                && !self.may_begin_at_or_before(found)
            {
                return Some(found);
            }
        }
        None
    }

    /// Bytes at the end of the text that may not belong to it in the end.
    pub fn held(&self, needles: &Needles) -> usize {
        let matched = self.matched.iter().zip(&needles.0);
        let cut_off = matched.filter(|(_, needle)| !needle.is_kept);
        let partial = cut_off.map(|(&matched, _)| matched).max().unwrap_or(0);
        let pending = self.pending.map_or(0, |found| self.position - found.cut);
        partial.max(pending)
    }

    /// A complete match that still waits for one that began before it.
    pub fn pending(&self) -> Option<Found> {
        self.pending
    }

    fn byte(&mut self, needles: &Needles, byte: u8) {
        for (index, needle) in needles.0.iter().enumerate() {
            let matched = needle.step(self.matched[index], byte);
            self.matched[index] = matched;
            if matched > 0 && matched == needle.text.len() {
                let start = self.position - matched;
                // `<=`: of two strings that begin together the one that ends later is the longer.
                if self.pending.is_none_or(|found| start <= found.start) {
                    self.pending = Some(Found {
                        start,
                        cut: if needle.is_kept { self.position } else { start },
                        needle: index,
                    });
                }
            }
        }
    }

    /// Whether an incomplete string began before `found`. One that began at the same place would not move the cut.
    fn may_begin_at_or_before(&self, found: Found) -> bool {
        self.matched
            .iter()
            .any(|&matched| matched > 0 && self.position - matched < found.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(needles: &[&str], pieces: &[&str]) -> Option<usize> {
        let needles = needles.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let needles = Needles::new(&needles, &[]);
        let mut scan = needles.start();
        for piece in pieces {
            if let Some(found) = scan.feed(&needles, piece) {
                return Some(found.start);
            }
        }
        scan.pending().map(|found| found.start)
    }

    #[test]
    fn a_match_across_pieces_is_found() {
        assert_eq!(scan(&["stop"], &["do s", "to", "p it"]), Some(3));
    }

    #[test]
    fn a_match_waits_for_an_earlier_longer_one_however_the_text_is_cut() {
        for pieces in [
            &["abcd"][..],
            &["a", "b", "c", "d"],
            &["ab", "cd"],
            &["abc", "d"],
        ] {
            assert_eq!(scan(&["bc", "abcd"], pieces), Some(0));
        }
        assert_eq!(scan(&["bc", "abcd"], &["abc", "x"]), Some(1));
        assert_eq!(scan(&["bc", "abcd"], &["abc"]), Some(1));
    }

    #[test]
    fn a_text_that_is_to_be_cut_off_and_to_be_kept_is_kept() {
        let both = ["stop".to_owned()];
        let needles = Needles::new(&both, &both);
        let found = needles.start().feed(&needles, "do stop it");
        assert_eq!(found.map(|found| (found.start, found.cut)), Some((3, 7)));
    }

    #[test]
    fn self_overlapping_strings_are_followed() {
        assert_eq!(scan(&["aab"], &["aaab"]), Some(1));
        assert_eq!(scan(&["abab", "x"], &["aba", "abab"]), Some(3));
        assert_eq!(scan(&["aabaaaa"], &["aabaaabaaaa"]), Some(4));
    }

    proptest! {
        #[test]
        fn the_leftmost_match_is_found_whatever_the_pieces(
            text in "[ab]{0,24}",
            needles in prop::collection::vec("[ab]{1,5}", 0..4),
            cuts in prop::collection::vec(0usize..24, 0..6),
        ) {
            let expect = needles.iter().filter_map(|n| text.find(n.as_str())).min();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
            prop_assert_eq!(scan(&needles, &pieces), expect);
        }

        #[test]
        fn what_leaves_before_a_match_is_never_part_of_it(text in "[ab]{0,24}", needles in prop::collection::vec("[ab]{1,5}", 1..4)) {
            let compiled = Needles::new(&needles, &[]);
            let mut scan = compiled.start();
            for (at, _) in text.char_indices() {
                if let Some(found) = scan.feed(&compiled, &text[at..at + 1]) {
                    prop_assert!(at + 1 - scan.held(&compiled) <= found.start);
                    break;
                }
                if let Some(first) = needles.iter().filter_map(|n| text.find(n.as_str())).min() {
                    prop_assert!(at + 1 - scan.held(&compiled) <= first);
                }
            }
        }
    }
}
