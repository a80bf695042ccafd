//! A model of random weights in the shape of a small llama, so that the benchmark needs nothing from outside.
//!
//! 246 million parameters in 148 MiB: what it says is noise, its speed is that of any model of this shape. The
//! matrices are Q4_0. The output matrix is Q8_0, because quantised models that people use keep more bits there than
//! elsewhere. Knows the architecture and the vocabulary; the file format is elsewhere.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use crate::error::{Error, Result};
use crate::gguf::{self, Fill, Format, Tensor, Value};

const LAYERS: usize = 16;
const EMBEDDING: usize = 1024;
const FEED_FORWARD: usize = 2816;
const HEADS: usize = 16;
const KEY_VALUE_HEADS: usize = 4;
const CONTEXT: u32 = 16_384;
const VOCABULARY: usize = 32_064;
/// `<unk>`, `<s>`, `</s>` and the 256 bytes. Their output rows are zeros: the model never says them, so that each token
/// of its answers is a piece of text.
const UNSPOKEN: usize = 3 + 256;

/// Writes the model, under its name only when it is complete.
pub fn write(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::Setup(format!("{}: {error}", path.display()));
    let part = path.with_extension("part");
    let mut out = BufWriter::new(File::create(&part).map_err(failed)?);
    gguf::write(&mut out, &values(), &tensors()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

fn values() -> Vec<(&'static str, Value)> {
    let number = |number: usize| Value::Unsigned(number as u32);
    let text = |text: &str| Value::Text(text.to_owned());
    let pieces = pieces();
    // The type says what a piece is: 1 text, 2 unknown, 3 control, 6 a byte.
    let types = (0..pieces.len()).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        id if id < UNSPOKEN => 6,
        _ => 1,
    });
    // Shorter pieces stand first and are joined first.
    let scores = (0..pieces.len()).map(|id| match id {
        id if id < UNSPOKEN => 0.0,
        id => -(id as f32),
    });
    vec![
        ("general.architecture", text("llama")),
        ("general.name", text("random weights for benchmarks")),
        // Mostly Q4_0.
        ("general.file_type", Value::Unsigned(2)),
        ("general.quantization_version", Value::Unsigned(2)),
        ("llama.block_count", number(LAYERS)),
        ("llama.context_length", Value::Unsigned(CONTEXT)),
        ("llama.embedding_length", number(EMBEDDING)),
        ("llama.feed_forward_length", number(FEED_FORWARD)),
        ("llama.attention.head_count", number(HEADS)),
        ("llama.attention.head_count_kv", number(KEY_VALUE_HEADS)),
        ("llama.attention.layer_norm_rms_epsilon", Value::Float(1e-5)),
        ("llama.rope.dimension_count", number(EMBEDDING / HEADS)),
        ("llama.rope.freq_base", Value::Float(10_000.0)),
        ("llama.vocab_size", number(VOCABULARY)),
        ("tokenizer.ggml.model", text("llama")),
        ("tokenizer.ggml.pre", text("default")),
        ("tokenizer.ggml.scores", Value::Floats(scores.collect())),
        (
            "tokenizer.ggml.token_type",
            Value::Integers(types.collect()),
        ),
        ("tokenizer.ggml.tokens", Value::Texts(pieces)),
        ("tokenizer.ggml.unknown_token_id", Value::Unsigned(0)),
        ("tokenizer.ggml.bos_token_id", Value::Unsigned(1)),
        ("tokenizer.ggml.eos_token_id", Value::Unsigned(2)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
    ]
}

/// The vocabulary: special tokens, bytes, the characters of plain text, syllables, and words of two and three of them.
///
/// Every piece can be made of two shorter ones, as this kind of tokenizer joins them.
fn pieces() -> Vec<String> {
    // What stands for a space in front of a word.
    const SPACE: char = '\u{2581}';
    let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    pieces.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    let spaced = |piece: &String| format!("{SPACE}{piece}");
    pieces.push(SPACE.to_string());
    pieces.extend(('!'..='~').map(String::from));
    let syllables: Vec<String> = "bcdfghjklmnpqrstvwxz"
        .chars()
        .flat_map(|consonant| {
            "aeiou"
                .chars()
                .map(move |vowel| format!("{consonant}{vowel}"))
        })
        .collect();
    let joined = |first: &String, second: &String| format!("{first}{second}");
    let pairs: Vec<String> = syllables
        .iter()
        .flat_map(|first| syllables.iter().map(|second| joined(first, second)))
        .collect();
    pieces.extend(syllables.iter().cloned());
    pieces.extend(syllables.iter().map(spaced));
    pieces.extend(pairs.iter().cloned());
    pieces.extend(pairs.iter().map(spaced));
    let rest = VOCABULARY - pieces.len();
    let triples = pairs
        .iter()
        .flat_map(|pair| syllables.iter().map(|last| joined(pair, last)));
    // Spread over all of them, so that no consonant is missing.
    let step = pairs.len() * syllables.len() / rest;
    pieces.extend(triples.step_by(step).take(rest).map(|word| spaced(&word)));
    pieces
}

fn tensors() -> Vec<Tensor> {
    let shared = KEY_VALUE_HEADS * (EMBEDDING / HEADS);
    let matrix = |name: String, rows: usize, columns: usize| Tensor {
        name,
        columns,
        rows: Some(rows),
        format: Format::Q4_0,
        fill: Fill::Random { zero_rows: 0 },
    };
    let norm = |name: String| Tensor {
        name,
        columns: EMBEDDING,
        rows: None,
        format: Format::F32,
        fill: Fill::Ones,
    };
    let mut tensors = vec![
        matrix("token_embd.weight".to_owned(), VOCABULARY, EMBEDDING),
        norm("output_norm.weight".to_owned()),
        Tensor {
            format: Format::Q8_0,
            fill: Fill::Random {
                zero_rows: UNSPOKEN,
            },
            ..matrix("output.weight".to_owned(), VOCABULARY, EMBEDDING)
        },
    ];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        tensors.extend([
            norm(name("attn_norm")),
            norm(name("ffn_norm")),
            matrix(name("attn_q"), EMBEDDING, EMBEDDING),
            matrix(name("attn_k"), shared, EMBEDDING),
            matrix(name("attn_v"), shared, EMBEDDING),
            matrix(name("attn_output"), EMBEDDING, EMBEDDING),
            matrix(name("ffn_gate"), FEED_FORWARD, EMBEDDING),
            matrix(name("ffn_up"), FEED_FORWARD, EMBEDDING),
            matrix(name("ffn_down"), EMBEDDING, FEED_FORWARD),
        ]);
    }
    tensors
}
