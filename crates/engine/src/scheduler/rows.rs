//! How many tokens fill a graph well: the kernels of ggml's CPU backend work in blocks, and one that is not full costs
//! as much as a full one. Pure.
//!
//! All of this is about attention on the CPU. A device takes a piece of any size at once: there, a prompt that fits into
//! a step's time goes in whole.
//!
//! Measured on two cores with a model of 246 million parameters, tokens per second of a piece of a prompt:
//!
//! | Piece | 16 | 32 | 60 | 64 | 68 | 96 | 128 |
//! |---|---|---|---|---|---|---|---|
//! | behind 2,000 cells | 113 | 111 | 113 | 282 | 216 | 250 | 286 |
//! | behind 6,000 cells | 44 | 46 | 46 | 158 | 108 | 136 | 161 |
//!
//! So behind many cells 64 tokens take less time than 32, not only less for each.

/// Tokens of one stream for which flash attention goes through the cells once (`GGML_FA_TILE_Q`); fewer go through them
/// one by one.
const TILE: usize = 64;
/// Tokens that a multiplication with repacked weights takes at once.
const BLOCK: usize = 4;
/// Cells from which attention weighs more than the rest.
const DEEP: usize = 512;
/// Cells behind which what is left of a prompt, if it fills no tile, is cut into pieces of so many tokens: they take no
/// longer together, and each of them less than a tile.
const VERY_DEEP: usize = 2048;
const TAIL: usize = 16;

/// What a step's graph meets.
#[derive(Debug, Clone, Copy)]
pub struct Graph {
    /// Tokens in it that are of no prompt.
    pub beside: usize,
    /// Cells that it looks at.
    pub cells: usize,
    /// Attention is computed on the CPU.
    pub on_cpu: bool,
}

/// Prompt tokens for a graph, where `wanted` fit into its time and `prompts` wait.
pub fn portion(wanted: usize, prompts: usize, graph: Graph) -> usize {
    let Graph {
        beside,
        cells,
        on_cpu,
    } = graph;
    if !on_cpu {
        return wanted;
    }
    if cells >= VERY_DEEP && prompts + beside < TILE {
        return TAIL;
    }
    match prompts <= wanted {
        true => wanted,
        false => whole(wanted, beside, cells >= DEEP),
    }
}

/// What a prompt gets a multiple of, if it is a graph of its own and does not go in whole.
pub fn unit(cells: usize, on_cpu: bool) -> usize {
    match on_cpu && cells >= DEEP {
        true => TILE,
        false => 1,
    }
}

/// Whole tiles where `deep`, one at least, and whole blocks elsewhere.
fn whole(wanted: usize, beside: usize, deep: bool) -> usize {
    let total = wanted + beside;
    if !deep {
        return wanted.saturating_sub(total % BLOCK).max(1);
    }
    let least = (beside + TILE / 2).div_ceil(TILE);
    (total / TILE).max(least) * TILE - beside
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn behind_many_cells_a_graph_is_whole_tiles() {
        assert_eq!(whole(32, 1, true), 63);
        assert_eq!(whole(96, 0, true), 64);
        assert_eq!(whole(130, 3, true), 125);
        assert_eq!(whole(32, 60, true), 68);
    }

    #[test]
    fn elsewhere_it_is_whole_blocks() {
        assert_eq!(whole(96, 3, false), 93);
        assert_eq!(whole(96, 0, false), 96);
        assert_eq!(whole(1, 3, false), 1);
    }

    #[test]
    fn what_is_left_goes_in_whole_unless_it_is_behind_very_many_cells() {
        let portion = |wanted, prompts, cells| portion(wanted, prompts, behind(cells, true));
        assert_eq!(portion(96, 70, 6000), 96);
        assert_eq!(portion(32, 6000, 6000), 63);
        assert_eq!(portion(32, 40, 6000), 16);
        assert_eq!(portion(48, 40, 600), 48);
        assert_eq!([511, 512].map(|cells| unit(cells, true)), [1, TILE]);
    }

    /// A graph with one token of an answer.
    fn behind(cells: usize, on_cpu: bool) -> Graph {
        Graph {
            beside: 1,
            cells,
            on_cpu,
        }
    }

    /// Steps that a prompt of `prompt` tokens behind `cells` cells takes where 512 tokens fit into a step.
    fn steps(mut prompt: usize, cells: usize, on_cpu: bool) -> usize {
        let mut steps = 0;
        while prompt > 0 {
            prompt -= portion(512, prompt, behind(cells, on_cpu)).min(prompt);
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_message_behind_many_cells_takes_one_step_with_layers_on_a_device() {
        assert_eq!(steps(60, 2048, true), 4);
        assert_eq!(steps(60, 2048, false), 1);
        assert_eq!(portion(130, 600, behind(6000, false)), 130);
        assert_eq!(unit(6000, false), 1);
    }

    proptest! {
        #[test]
        fn a_graph_is_whole_and_not_much_more_than_wanted(wanted in 1usize..600, beside in 0usize..300, deep: bool) {
            let got = whole(wanted, beside, deep);
            let unit = if deep { TILE } else { BLOCK };
            prop_assert!(got > 0 && (got + beside).is_multiple_of(unit) || !deep && got == 1);
            prop_assert!(got < wanted + 2 * TILE && got + TILE + BLOCK > wanted);
        }
    }
}
