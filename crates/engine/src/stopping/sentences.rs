//! Sentences of an answer that come again and again.
//!
//! Text in, position out: tokens are not known here, nor whether text before the position has left already. What a
//! sentence is follows its end marks alone: `3.5` has one too.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// Characters of the shortest sentence that counts, after folding and without its end mark.
const SHORTEST: usize = 12;

/// Different sentences that are kept in mind. An answer has more only if it hardly ever repeats itself; then all are
/// forgotten together, so that a loop that begins later is found all the same.
const MOST_DIFFERENT: usize = 1 << 16;

/// The sentences of one answer as it grows.
#[derive(Debug)]
pub struct Sentences {
    max_count: usize,
    seen: HashMap<Mark, usize>,
    current: Folded,
    /// Bytes of the answer so far.
    position: usize,
    /// Where the text before the current sentence ends, blanks between the two not counted.
    end_before: usize,
}

/// A sentence as two hashes with different beginnings: 128 bits, since two sentences that are taken for one would cut
/// an answer for no reason.
type Mark = (u64, u64);

impl Sentences {
    /// A count at the start of an answer in which a sentence may stand `max_count` times.
    pub fn new(max_count: usize) -> Sentences {
        Sentences {
            max_count,
            seen: HashMap::new(),
            current: Folded::new(),
            position: 0,
            end_before: 0,
        }
    }

    /// Takes the next piece of the answer; returns where the first surplus sentence that ends in it begins, as a byte
    /// position in the whole answer: right after the end marks before it.
    pub fn feed(&mut self, text: &str) -> Option<usize> {
        let mut surplus = None;
        for character in text.chars() {
            self.position += character.len_utf8();
            if is_end_mark(character) {
                surplus = surplus.or(self.end_mark(character));
            } else {
                self.current.push(character);
            }
        }
        surplus
    }

    fn end_mark(&mut self, character: char) -> Option<usize> {
        if self.current.characters == 0 {
            // A mark without a sentence (`...`, `?!`) belongs to the sentence before it, an empty line does not.
            if !character.is_whitespace() {
                self.end_before = self.position;
            }
            return None;
        }
        let begin = std::mem::replace(&mut self.end_before, self.position);
        let sentence = std::mem::replace(&mut self.current, Folded::new());
        (sentence.characters >= SHORTEST && self.count(sentence.mark()) > self.max_count)
            .then_some(begin)
    }

    fn count(&mut self, mark: Mark) -> usize {
        if self.seen.len() >= MOST_DIFFERENT && !self.seen.contains_key(&mark) {
            self.seen.clear();
        }
        let count = self.seen.entry(mark).or_default();
        *count += 1;
        *count
    }
}

/// A sentence in one spelling, as hashes only: one without an end may be as long as the answer.
#[derive(Debug)]
struct Folded {
    hashers: [DefaultHasher; 2],
    characters: usize,
    /// A blank that counts once another character follows it.
    is_blank_due: bool,
}

impl Folded {
    fn new() -> Folded {
        let plain = DefaultHasher::new();
        let mut shifted = DefaultHasher::new();
        shifted.write_u32(u32::MAX);
        Folded {
            hashers: [plain, shifted],
            characters: 0,
            is_blank_due: false,
        }
    }

    fn push(&mut self, character: char) {
        if character.is_whitespace() {
            self.is_blank_due = self.characters > 0;
            return;
        }
        if std::mem::take(&mut self.is_blank_due) {
            self.write(' ');
        }
        for lower in character.to_lowercase() {
            self.write(lower);
        }
    }

    fn write(&mut self, character: char) {
        for hasher in &mut self.hashers {
            hasher.write_u32(character.into());
        }
        self.characters += 1;
    }

    fn mark(&self) -> Mark {
        let [plain, shifted] = &self.hashers;
        (plain.finish(), shifted.finish())
    }
}

fn is_end_mark(character: char) -> bool {
    matches!(
        character,
        '.' | '!' | '?' | '\n' | '\u{3002}' | '\u{ff01}' | '\u{ff1f}' | '\u{ff0e}' | '\u{ff61}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What stays of `text`.
    fn check(max_count: usize, text: &str, expect: &str) {
        let cut = Sentences::new(max_count).feed(text);
        assert_eq!(&text[..cut.unwrap_or(text.len())], expect, "{text:?}");
    }

    /// The same from the whole text, with the sentences themselves instead of hashes.
    fn naive(max_count: usize, text: &str) -> Option<usize> {
        let mut seen = HashMap::<String, usize>::new();
        let mut begin = 0;
        for (at, mark) in text.match_indices(is_end_mark) {
            let sentence = &text[begin..at];
            let words: Vec<&str> = sentence.split_whitespace().collect();
            let folded: String = words
                .join(" ")
                .chars()
                .flat_map(char::to_lowercase)
                .collect();
            if folded.chars().count() >= SHORTEST {
                let count = seen.entry(folded).or_default();
                *count += 1;
                if *count > max_count {
                    let blanks = sentence.len() - sentence.trim_start().len();
                    let before = &text[..begin + blanks];
                    let solid = before.trim_end().len();
                    let is_after_mark = before[..solid].ends_with(is_end_mark);
                    let line_end = before[solid..].find('\n').filter(|_| solid > 0);
                    let keep = if is_after_mark {
                        0
                    } else {
                        line_end.map_or(0, |n| n + 1)
                    };
                    return Some(solid + keep);
                }
            }
            begin = at + mark.len();
        }
        None
    }

    #[test]
    fn a_sentence_too_often_is_cut_with_the_blanks_before_it() {
        check(
            2,
            "I am a parrot. I am a parrot. I am a parrot. And",
            "I am a parrot. I am a parrot.",
        );
    }

    #[test]
    fn case_blanks_and_the_end_mark_make_no_difference() {
        check(
            1,
            "Where is it now?  WHERE\t is \u{3000}it\r now ! more",
            "Where is it now?",
        );
    }

    #[test]
    fn a_short_sentence_may_come_as_often_as_it_likes() {
        check(
            1,
            "11 letters. 11 letters. 11 letters.",
            "11 letters. 11 letters. 11 letters.",
        );
        check(1, "of 12 letter. of 12 letter.", "of 12 letter.");
    }

    #[test]
    fn a_sentence_counts_once_its_end_mark_is_there() {
        let mut sentences = Sentences::new(1);
        assert_eq!(sentences.feed("Once upon a time. Once upon a time"), None);
        assert_eq!(sentences.feed("."), Some(17));
    }

    #[test]
    fn marks_in_a_row_stay_with_the_sentence_before_them() {
        check(
            1,
            "Is that so then?! ... \n\nIs that so then.",
            "Is that so then?! ...",
        );
    }

    #[test]
    fn the_end_of_a_line_stays_and_empty_lines_after_it_go() {
        check(
            1,
            "- the very same\n\n\n- the very same\n",
            "- the very same\n",
        );
    }

    #[test]
    fn wide_marks_end_sentences_of_wide_characters() {
        for mark in ["\u{3002}", "\u{ff01}", "\u{ff1f}", "\u{ff0e}", "\u{ff61}"] {
            let sentence = "\u{6c34}".repeat(12) + mark;
            check(1, &sentence.repeat(2), &sentence);
        }
    }

    #[test]
    fn what_follows_a_surplus_sentence_is_counted_too() {
        let mut sentences = Sentences::new(1);
        let text = "Once upon a time.";
        assert_eq!(sentences.feed(&text.repeat(2)), Some(text.len()));
        assert_eq!(sentences.feed(text), Some(2 * text.len()));
    }

    #[test]
    fn a_loop_after_very_many_sentences_is_found_and_memory_stays_bounded() {
        let mut sentences = Sentences::new(3);
        for number in 0..MOST_DIFFERENT + 10 {
            assert_eq!(sentences.feed(&format!("sentence number {number}.")), None);
            assert!(sentences.seen.len() <= MOST_DIFFERENT);
        }
        let surplus = (0..4).find(|_| sentences.feed("This is the end.").is_some());
        assert_eq!(surplus, Some(3));
    }

    /// Sentences of which some are the same but for their spelling, with any number of end marks and blanks.
    fn parts() -> impl Strategy<Value = Vec<String>> {
        let sentence = "(The same old tune|the  SAME old\\tTune| ?\u{130}stanbul, again|ab){0,1}";
        let part = (sentence, "[ \n.?\u{3002}]{0,3}").prop_map(|(text, marks)| text + &marks);
        prop::collection::vec(part, 0..12)
    }

    proptest! {
        #[test]
        fn the_cut_is_that_of_the_whole_text_whatever_the_pieces(
            parts in parts(),
            max_count in 1usize..3,
            cuts in prop::collection::vec(0usize..300, 0..9),
        ) {
            let text = parts.concat();
            let at_border = |at| super::super::floor_char(&text, at);
            let mut cuts: Vec<usize> = cuts.into_iter().map(at_border).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut sentences = Sentences::new(max_count);
            let found = cuts.windows(2).find_map(|pair| sentences.feed(&text[pair[0]..pair[1]]));
            prop_assert_eq!(found, naive(max_count, &text));
        }
    }
}
