//! Borders of words, as the expressions say.

use super::*;

#[test]
fn every_number_of_this_llama_has_a_splitter() {
    for pre in 0..=60 {
        assert!(Pretokenizer::new(pre).is_some(), "{pre}");
    }
    assert!(Pretokenizer::new(-1).is_none() && Pretokenizer::new(61).is_none());
}
