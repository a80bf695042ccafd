//! Texts as alternatives that share their beginnings.
//!
//! A grammar stands in every alternative that its text so far allows: ten thousand values side by side are ten thousand
//! stacks at their start, and their letters one after another are few.

use super::super::Checked;
use super::{Writer, literal};

impl Writer {
    /// One of `texts`, as alternatives.
    pub(super) fn one_of(&mut self, mut texts: Vec<&str>) -> Checked<String> {
        texts.sort_unstable();
        texts.dedup();
        self.sorted(&texts)
    }

    fn sorted(&mut self, texts: &[&str]) -> Checked<String> {
        let mut ways = Vec::new();
        for group in texts.chunk_by(|a, b| a.chars().next() == b.chars().next()) {
            let (first, last) = (group[0], group[group.len() - 1]);
            if group.len() == 1 {
                ways.push(literal(first));
                continue;
            }
            // What the first and the last begin with, all between them do.
            let pairs = first.char_indices().zip(last.chars());
            let shared = pairs.take_while(|((_, a), b)| a == b).last();
            let shared = shared.map_or(0, |((at, c), _)| at + c.len_utf8());
            let ends: Vec<&str> = group.iter().map(|text| &text[shared..]).collect();
            let ends = self.sorted(&ends)?;
            let ends = self.rule(&ends)?;
            ways.push(format!("{} {ends}", literal(&first[..shared])));
        }
        let ways = ways.join(" | ");
        self.spend(ways.len())?;
        Ok(ways)
    }
}
