//! Models, contexts and files for the tests of this room.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::super::*;
use crate::error::Result;

/// The committed model.
pub(super) fn pocket_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/pocket-a.gguf")
}

/// The committed model, loaded once per test process.
pub(super) fn pocket() -> Arc<Model> {
    static POCKET: OnceLock<Arc<Model>> = OnceLock::new();
    Arc::clone(
        POCKET.get_or_init(|| Arc::new(load(&pocket_path()).expect("the pocket model loads"))),
    )
}

pub(super) fn load(path: &Path) -> Result<Model> {
    Model::load(path, &model_params(), &mut |_| true)
}

pub(super) fn model_params() -> ModelParams {
    ModelParams {
        n_gpu_layers: Some(0),
        main_gpu: 0,
        tensor_split: Vec::new(),
        split_mode: SplitMode::Layer,
        cpu_experts: CpuExperts::First(0),
        use_mmap: true,
        use_mlock: false,
        check_tensors: false,
        adapters: Vec::new(),
    }
}

/// A small unified context shape with four sequences.
pub(super) fn context_params() -> ContextParams {
    ContextParams {
        n_ctx: 512,
        n_batch: 64,
        n_ubatch: 32,
        n_seq_max: 4,
        n_outputs_max: 8,
        threads: ThreadCounts {
            decode: 1,
            batch: 1,
        },
        poll: 0,
        type_k: KvType::F16,
        type_v: KvType::F16,
        flash_attention: FlashAttention::Auto,
        rope: Rope::MODEL,
        offload_kv: true,
        adapter_scales: Vec::new(),
        embedding: None,
        kv_unified: true,
        is_shy: false,
    }
}

pub(super) fn context(params: &ContextParams) -> Context {
    Context::new(pocket(), params).expect("a context of the pocket model")
}

/// Writes a file into the build folder; each test has names of its own.
pub(super) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("OUT_DIR")).join("test-files");
    std::fs::create_dir_all(&folder).expect("a folder for test files");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a test file");
    path
}

/// Some tokens of the pocket model.
pub(super) fn prompt(text: &str) -> Vec<Token> {
    let tokens = pocket().vocab().tokenize(text, Special::Plain);
    tokens.expect("text that the pocket model reads")
}

/// Decodes `tokens` onto the end of `seq` and returns the logits after the last one.
pub(super) fn feed(ctx: &mut Context, seq: SeqId, tokens: &[Token]) -> Vec<f32> {
    let mut batch = ctx.new_batch();
    let mut logits = None;
    let chunk = ctx.n_batch() as usize;
    for tokens in tokens.chunks(chunk) {
        batch.clear();
        let next = ctx.seq_next_pos(seq);
        for (i, token) in tokens.iter().enumerate() {
            let last = i + 1 == tokens.len();
            batch
                .push(*token, next + i as u32, seq, last)
                .expect("room in the batch");
        }
        ctx.decode(&batch).expect("a decode");
        logits = ctx.logits(tokens.len() - 1).map(<[f32]>::to_vec);
    }
    logits.expect("logits of the last token")
}

/// The best token of a row.
pub(super) fn best(logits: &[f32]) -> Token {
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    Token(best.expect("a vocabulary") as i32)
}

/// Greedy continuation of what `logits` follow.
pub(super) fn greedy(
    ctx: &mut Context,
    seq: SeqId,
    mut logits: Vec<f32>,
    count: usize,
) -> Vec<Token> {
    let mut tokens = Vec::new();
    for _ in 0..count {
        let token = best(&logits);
        tokens.push(token);
        logits = feed(ctx, seq, &[token]);
    }
    tokens
}
