//! A model that looks its positions up in a table, as GPT-2 does; the texts of tokens.

use super::{Forge, HEADS, TOKENS, WIDTH, array, text};

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

    /// Gives the token `id` another text.
    pub(crate) fn rename_token(&mut self, id: usize, name: &str) {
        let mut tokens = tokens();
        tokens[id] = name.to_owned();
        self.tokens(&tokens);
    }

    pub(super) fn tokens(&mut self, tokens: &[String]) {
        let mut value = array(8, tokens.len());
        tokens.iter().for_each(|token| value.extend(text(token)));
        self.pair("tokenizer.ggml.tokens", 9, value);
    }

    /// A tensor, and a bias of zeros.
    fn biased(&mut self, name: &str, shape: &[u64]) {
        let bias = format!("{name}.bias");
        self.tensor(&format!("{name}.weight"), shape);
        self.tensor(&bias, &shape[shape.len() - 1..]);
        self.fill(&bias, 0.0);
    }
}

/// The texts of a forged vocabulary.
pub(super) fn tokens() -> Vec<String> {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(('a'..='z').map(String::from));
    tokens
}
