//! Projectors without any training: what they say of an image is noise, and other noise for other images.

use super::{Forge, array};

/// Sizes of the encoder: two layers over patches of 14 pixels.
const WIDTH: u64 = 16;
const HIDDEN: u64 = 32;
const PATCH: u64 = 14;

/// Embeddings that one image becomes, with either projector.
pub(crate) const IMAGE_TOKENS: usize = 4;

impl Forge {
    /// A LLaVA projector that writes embeddings of `out` numbers: 28 pixels to a side make 2 x 2 patches.
    pub(crate) fn llava(out: u32) -> Forge {
        let mut forge = Forge::of_images("mlp", 2 * PATCH, out);
        forge.tensor("mm.0.weight", &[WIDTH, HIDDEN]);
        forge.tensor("mm.0.bias", &[HIDDEN]);
        forge.tensor("mm.2.weight", &[HIDDEN, out.into()]);
        forge.tensor("mm.2.bias", &[out.into()]);
        forge
    }

    /// A Gemma projector, whose embeddings of one image attend to each other in both directions: 56 pixels to a side
    /// make 4 x 4 patches, of which every 2 x 2 become one embedding.
    pub(crate) fn gemma(out: u32) -> Forge {
        let mut forge = Forge::of_images("gemma3", 4 * PATCH, out);
        forge.number("clip.vision.projector.scale_factor", 2);
        forge.tensor("mm.input_projection.weight", &[out.into(), WIDTH]);
        forge.tensor("mm.soft_emb_norm.weight", &[WIDTH]);
        forge
    }

    fn of_images(projector: &str, side: u64, out: u32) -> Forge {
        let mut forge = Forge::default();
        forge.text("general.architecture", "clip");
        forge.pair("clip.has_vision_encoder", 7, vec![1]);
        forge.text("clip.projector_type", projector);
        for (key, value) in [
            ("embedding_length", WIDTH as u32),
            ("feed_forward_length", HIDDEN as u32),
            ("block_count", 2),
            ("projection_dim", out),
            ("attention.head_count", 2),
            ("image_size", side as u32),
            ("patch_size", PATCH as u32),
        ] {
            forge.number(&format!("clip.vision.{key}"), value);
        }
        forge.float("clip.vision.attention.layer_norm_epsilon", 1e-5);
        for key in ["image_mean", "image_std"] {
            let halves = [0.5_f32; 3].map(f32::to_le_bytes).concat();
            let value = [array(6, 3), halves].concat();
            forge.pair(&format!("clip.vision.{key}"), 9, value);
        }
        forge.tensor("v.patch_embd.weight", &[PATCH, PATCH, 3, WIDTH]);
        forge.tensor("v.position_embd.weight", &[WIDTH, (side / PATCH).pow(2)]);
        for layer in 0..2 {
            for part in ["q", "k", "v", "out"] {
                let name = format!("v.blk.{layer}.attn_{part}.weight");
                forge.tensor(&name, &[WIDTH, WIDTH]);
            }
            for norm in ["ln1", "ln2"] {
                forge.tensor(&format!("v.blk.{layer}.{norm}.weight"), &[WIDTH]);
            }
            forge.tensor(&format!("v.blk.{layer}.ffn_up.weight"), &[WIDTH, HIDDEN]);
            forge.tensor(&format!("v.blk.{layer}.ffn_down.weight"), &[HIDDEN, WIDTH]);
        }
        forge
    }
}
