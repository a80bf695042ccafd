//! Keys that guests carry along from command-line programs and that can have no effect here.
//!
//! They are told from unknown ones, so that a misspelt key is not lost among them.

/// Names, and patterns in which `*` stands for any text.
const FLAT: &[&str] = &[
    // Benchmarks and evaluation.
    "ppl-*",
    "hellaswag*",
    "winogrande*",
    "multiple-choice*",
    "kl-divergence",
    "n-pp",
    "n-tg",
    "n-pl",
    "is-pp-shared",
    "batched-bench-output-jsonl",
    // Downloads.
    "hf-*",
    "model-url*",
    "model-alias",
    // Console.
    "interactive*",
    "use-color",
    "escape",
    "multiline-input",
    "simple-io",
    "display-prompt",
    "verbose-prompt",
    "input-*",
    "verbosity",
    "special",
    "usage",
    "prompt-file",
    // HTTP.
    "port",
    "hostname",
    "timeout-*",
    "ssl-*",
    "webui",
    "endpoint-*",
    "public-path",
    "n-threads-http",
    "n-cache-reuse",
    "slot-*",
    // Caches in files.
    "path-prompt-cache",
    "prompt-cache-*",
    "lookup-cache-*",
    // Pools of CPUs.
    "mask-valid*",
    "poll*",
    "strict-cpu*",
    "priority-batch",
    // Speculative decoding.
    "*-speculative",
    // Training and vectors.
    "cvector-*",
    "n-pca-*",
    "control-vector-*",
    "i-chunk",
    "process-output",
    "compute-ppl",
    "n-junk",
    "i-pos",
    "out-file",
    "n-*-freq",
    "context-files",
    "chunk-*",
    // The rest.
    "grp-attn-*",
    "n-chunks",
    "n-sequences",
    "n-print",
    "logits-file",
    "lora-init-without-apply",
    "cont-batching",
    "warmup",
    "chat-template",
    "enable-chat-template",
    "embd-out",
    "embd-sep",
    "log-json",
    "spm-infill",
    "timing-per-token",
    "no-perf-sampling",
    "always-regenerate-image-embd",
    // Tokens that a sampler remembers: here the window of its penalties decides.
    "n-prev",
];

/// What the public examples of the other plugin write and no plugin reads, theirs not either. Nobody has misspelt
/// anything, so nobody is warned.
const EXAMPLES: &[&str] = &["llama3"];

/// Keys of the engine's sections that the engine itself only tolerates. Passed on, it would say so at every call.
const NESTED: &[&str] = &[
    "model.warmup",
    "sampling.tfs_z",
    "stopping.context_aware",
    "stopping.dynamic_timeout",
    "stopping.token_conditions",
    "stopping.pattern_conditions",
    "stopping.semantic_conditions",
    "runtime.tfs_z",
    "runtime.stream_stdout",
    "runtime.context_aware",
    "runtime.dynamic_timeout",
    "runtime.token_conditions",
    "runtime.pattern_conditions",
    "runtime.semantic_conditions",
];

/// What turns text into speech. A guest that asks for it would read text as audio.
const SPEECH: &[&str] = &["tts", "model-vocoder", "tts-*"];

/// Whether the flat key `name`, spelt with hyphens, is known to have no effect.
pub(super) fn is_flat(name: &str) -> bool {
    FLAT.iter().any(|pattern| fits(pattern, name))
}

/// Whether the flat key `name`, spelt with hyphens, is carried along by examples and read by nobody.
pub(super) fn is_of_examples(name: &str) -> bool {
    EXAMPLES.contains(&name)
}

/// Whether the dotted `path` into a section is known to have no effect.
pub(super) fn is_nested(path: &str) -> bool {
    NESTED.contains(&path)
}

/// Whether the flat key `name`, spelt with hyphens, is about speech.
pub(super) fn is_speech(name: &str) -> bool {
    SPEECH.iter().any(|pattern| fits(pattern, name))
}

/// Whether `name` is `pattern`, whose only `*`, if any, stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name
            .strip_prefix(start)
            .is_some_and(|rest| rest.ends_with(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_for_nothing_else() {
        let check = |pattern, name, expect| assert_eq!(fits(pattern, name), expect, "{name}");
        check("hf-*", "hf-token", true);
        check("hf-*", "hf", false);
        check("n-*-freq", "n-out-freq", true);
        check("n-*-freq", "n-freq", false);
        check("*-speculative", "p-min-speculative", true);
        check("*-speculative", "speculative", false);
        check("port", "ports", false);
    }

    #[test]
    fn no_pattern_has_two_stars() {
        for pattern in FLAT.iter().chain(SPEECH) {
            assert!(pattern.matches('*').count() <= 1, "{pattern}");
        }
    }
}
