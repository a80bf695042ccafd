//! What the header of a projector must satisfy, because libmtmd divides by it or asserts it instead of refusing the
//! file.
//!
//! The sizes are checked for all families. The tensors are for LLaVA's, whose list is short; the other families are as
//! safe as their files, which the host chooses.

use super::super::header::{Header, Value};
use super::{Checked, EXTENT_LIMIT, LAYERS_LIMIT, tensor, within};

/// Largest side of what the encoder sees, and of its patches.
const SIDE_LIMIT: f64 = 8192.0;
/// Colours of a patch.
const COLOURS: u64 = 3;

/// Types of values.
const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// Values of each type that libmtmd reads; it asserts that a value is of the type that it reads.
const TYPED: [(u32, &[&str]); 6] = [
    (
        U32,
        &[
            "attention.head_count",
            "attention.head_count_kv",
            "attention.head_dim",
            "block_count",
            "chunk_size",
            "conv_kernel_size",
            "embedding_length",
            "expert_used_count",
            "feed_forward_length",
            "image_max_pixels",
            "image_min_pixels",
            "image_size",
            "local_block_count",
            "local_group_size",
            "max_pos_emb",
            "minicpmv_query_num",
            "n_wa_pattern",
            "num_mel_bins",
            "patch_size",
            "preproc_image_size",
            "preproc_max_tiles",
            "preproc_min_tiles",
            "projection_dim",
            "projector.downsample_rate",
            "projector.head_count",
            "projector.query_side",
            "projector.scale_factor",
            "projector.stack_factor",
            "projector.window_side",
            "projector.window_size",
            "rvq.num_quantizers",
            "sam.block_count",
            "sam.embedding_length",
            "sam.head_count",
            "spatial_merge_size",
            "subsampling_factor",
            "window_size",
        ],
    ),
    (I32, &["minicpmv_version"]),
    (F32, &["attention.layer_norm_epsilon", "swiglu_clamp"]),
    (
        BOOL,
        &[
            "has_audio_encoder",
            "has_gen_audio_encoder",
            "has_vision_encoder",
            "use_gelu",
            "use_silu",
        ],
    ),
    (
        TEXT,
        &[
            "description",
            "mm_patch_merge_type",
            "model_variant",
            "name",
            "projector_type",
        ],
    ),
    (
        ARRAY,
        &[
            "feature_layer",
            "image_grid_pinpoints",
            "image_mean",
            "image_std",
            "projector.spatial_offsets",
            "rvq.codebook_size",
            "wa_layer_indexes",
            "wa_pattern_mode",
        ],
    ),
];

/// Checks the header of a projector.
pub(in super::super) fn check(header: &Header) -> Checked {
    if header.architecture() != Some("clip") {
        return Err("is no projector (general.architecture is not clip)".to_owned());
    }
    if header.values.get("clip.has_vision_encoder") != Some(&Value::Bool(true)) {
        return Err("has no encoder of images (clip.has_vision_encoder)".to_owned());
    }
    if header.part()?.1 > 1 {
        return Err("is split into parts, must be one file".to_owned());
    }
    header.kinds.iter().try_for_each(typed)?;
    for (key, low, high) in [
        ("vision.embedding_length", 1.0, EXTENT_LIMIT),
        ("vision.attention.head_count", 1.0, EXTENT_LIMIT),
        ("vision.block_count", 0.0, LAYERS_LIMIT),
        ("vision.feed_forward_length", 0.0, EXTENT_LIMIT),
        ("vision.projection_dim", 0.0, EXTENT_LIMIT),
        ("vision.attention.layer_norm_epsilon", 0.0, 1.0),
        ("vision.image_size", 0.0, SIDE_LIMIT),
        ("vision.patch_size", 1.0, SIDE_LIMIT),
    ] {
        within(header, key, low, high, true)?;
    }
    header.tensors.iter().try_for_each(tensor)?;
    let projector = ["projector_type", "vision.projector_type"]
        .iter()
        .find_map(|key| header.of_architecture(key));
    match projector {
        Some(Value::Text(name)) if name == "mlp" => Llava::of(header)?.check(),
        Some(Value::Text(_)) => Ok(()),
        _ => Err("names no projector (clip.projector_type)".to_owned()),
    }
}

/// Checks the type of a value.
fn typed((key, kind): (&String, &u32)) -> Checked {
    let part = [
        "general.",
        "clip.vision.",
        "clip.audio.",
        "clip.gen.audio.",
        "clip.",
    ]
    .iter()
    .find_map(|prefix| key.strip_prefix(prefix));
    let expected = TYPED
        .iter()
        .find(|(_, parts)| part.is_some_and(|part| parts.contains(&part)));
    match expected {
        Some((expected, _)) if expected != kind => Err(format!(
            "has a {key} of type {kind}, must be of type {expected}"
        )),
        _ => Ok(()),
    }
}

/// The tensors of a LLaVA projector and the sizes that they must have.
struct Llava<'a> {
    header: &'a Header,
    width: u64,
    hidden: u64,
    layers: u64,
    patch: u64,
    /// Positions of an image, without the one for all of it.
    patches: u64,
    /// Layers whose outputs stand side by side before the projection.
    taps: u64,
}

impl Llava<'_> {
    fn of(header: &Header) -> std::result::Result<Llava<'_>, String> {
        let number = |key: &str| {
            let value = header.of_architecture(key).and_then(Value::whole);
            value.ok_or_else(|| format!("has a {key} that is no whole number"))
        };
        let (patch, side) = (number("vision.patch_size")?, number("vision.image_size")?);
        let width = number("vision.embedding_length")?;
        let heads = number("vision.attention.head_count")?;
        if width % heads != 0 {
            return Err(format!(
                "has {heads} heads in a width of {width}, must divide it"
            ));
        }
        if side < patch {
            return Err(format!("has patches of {patch} in an image of {side}"));
        }
        let taps = match header.of_architecture("vision.feature_layer") {
            Some(Value::Array { count, .. }) => (*count).max(1),
            _ => 1,
        };
        Ok(Llava {
            header,
            width,
            hidden: number("vision.feed_forward_length")?,
            layers: number("vision.block_count")?,
            patch,
            patches: (side / patch).pow(2),
            taps,
        })
    }

    fn check(&self) -> Checked {
        let (width, patch) = (self.width, self.patch);
        self.must_be("v.patch_embd.weight", &[patch, patch, COLOURS, width])?;
        self.may_be("v.patch_embd.bias", &[width])?;
        self.may_be("v.class_embd", &[width])?;
        for norm in ["pre", "post"] {
            self.may_be(&format!("v.{norm}_ln.weight"), &[width])?;
            self.may_be(&format!("v.{norm}_ln.bias"), &[width])?;
        }
        let positions = self.patches + u64::from(self.shape("v.class_embd").is_some());
        match self.shape("v.position_embd.weight") {
            Some([rows, count]) if *rows == width && *count >= positions => {}
            _ => return Err(self.wrong("v.position_embd.weight")),
        }
        for layer in 0..self.layers {
            self.layer(&format!("v.blk.{layer}"))?;
        }
        let name = "mm.0.weight";
        let Some([_, inner]) = self.shape(name).filter(|s| s[0] == width * self.taps) else {
            return Err(self.wrong(name));
        };
        self.must_be("mm.0.bias", &[*inner])?;
        // With a matrix in the fourth place the family is another one, which has norms around it.
        let has_norms = self.shape("mm.3.weight").is_some();
        let last = if has_norms { "mm.3" } else { "mm.2" };
        let name = format!("{last}.weight");
        let Some([_, out]) = self.shape(&name).filter(|s| s[0] == *inner) else {
            return Err(self.wrong(&name));
        };
        self.must_be(&format!("{last}.bias"), &[*out])?;
        for part in ["weight", "bias"].into_iter().filter(|_| has_norms) {
            self.must_be(&format!("mm.1.{part}"), &[*inner])?;
            self.must_be(&format!("mm.4.{part}"), &[*out])?;
        }
        Ok(())
    }

    fn layer(&self, layer: &str) -> Checked {
        let (width, hidden) = (self.width, self.hidden);
        for part in ["q", "k", "v", "out"] {
            self.must_be(&format!("{layer}.attn_{part}.weight"), &[width, width])?;
            self.may_be(&format!("{layer}.attn_{part}.bias"), &[width])?;
        }
        for norm in ["ln1", "ln2"] {
            self.must_be(&format!("{layer}.{norm}.weight"), &[width])?;
            self.may_be(&format!("{layer}.{norm}.bias"), &[width])?;
        }
        // Old files have the two matrices under each other's names.
        let (up, down) = (format!("{layer}.ffn_up"), format!("{layer}.ffn_down"));
        let is_swapped = self.shape(&format!("{down}.weight")) == Some(&[width, hidden][..]);
        let (up, down) = match is_swapped {
            true => (down, up),
            false => (up, down),
        };
        self.must_be(&format!("{up}.weight"), &[width, hidden])?;
        self.may_be(&format!("{up}.bias"), &[hidden])?;
        self.must_be(&format!("{down}.weight"), &[hidden, width])?;
        self.may_be(&format!("{down}.bias"), &[width])
    }

    fn shape(&self, name: &str) -> Option<&[u64]> {
        let tensor = self.header.tensors.iter().find(|t| t.name == name)?;
        Some(&tensor.shape)
    }

    fn must_be(&self, name: &str, shape: &[u64]) -> Checked {
        match self.shape(name) {
            Some(found) if found == shape => Ok(()),
            _ => Err(self.wrong(name)),
        }
    }

    fn may_be(&self, name: &str, shape: &[u64]) -> Checked {
        match self.shape(name) {
            None => Ok(()),
            Some(_) => self.must_be(name, shape),
        }
    }

    fn wrong(&self, name: &str) -> String {
        match self.shape(name) {
            None => format!("has no tensor {name}"),
            Some(shape) => format!("has a tensor {name} of the impossible shape {shape:?}"),
        }
    }
}
