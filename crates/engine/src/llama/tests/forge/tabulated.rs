//! A model that looks its positions up in a table, as GPT-2 does.

use super::{Forge, HEADS, TOKENS, WIDTH};

impl Forge {
    /// A gpt2 model of two layers.
    pub(crate) fn tabulated() -> Forge {
        let mut forge = Forge::sized("gpt2", 2, WIDTH);
        forge.number("gpt2.attention.head_count", HEADS);
        forge.float("gpt2.attention.layer_norm_epsilon", 1e-5);
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[WIDTH, TOKENS as u64]);
        forge.tensor("position_embd.weight", &[WIDTH, 512]);
        forge.biased("output_norm", &[WIDTH]);
        for layer in 0..2 {
            let name = |part: &str| format!("blk.{layer}.{part}");
            forge.biased(&name("attn_norm"), &[WIDTH]);
            forge.biased(&name("attn_qkv"), &[WIDTH, 3 * WIDTH]);
            forge.biased(&name("attn_output"), &[WIDTH, WIDTH]);
            forge.biased(&name("ffn_norm"), &[WIDTH]);
            forge.biased(&name("ffn_up"), &[WIDTH, 64]);
            forge.biased(&name("ffn_down"), &[64, WIDTH]);
        }
        forge
    }

    /// A tensor, and a bias of zeros.
    fn biased(&mut self, name: &str, shape: &[u64]) {
        let bias = format!("{name}.bias");
        self.tensor(&format!("{name}.weight"), shape);
        self.tensor(&bias, &shape[shape.len() - 1..]);
        self.fill(&bias, 0.0);
    }
}
