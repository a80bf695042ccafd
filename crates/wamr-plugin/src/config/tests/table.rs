//! Every row of the table: a good value and where it goes, wrong types, values beside the range.

use serde_json::{Value, json};

use super::{Fault, difference, settle, wanted, wanted_of_nothing};
use crate::config::rows;

/// Key, a good value, where it goes (document, path, value; `-`: no document says it), wrong values.
///
/// Wrong values are a JSON array, or `flag`, `whole BELOW ABOVE`, `real BELOW ABOVE` for those of a kind.
const TABLE: &str = r#"
enable-log        | true    | -                                          | flag
enable-debug-log  | true    | -                                          | flag
stream-stdout     | true    | -                                          | flag
no-perf           | true    | -                                          | flag
image             | ""      | -                                          | [1, [1], "a\u0000", {}]
mmproj            | "e.gguf" | -                                         | [1, ["x"], "a\u0000"]
ctx-size          | 4096    | model /model/ctx_size 4096                 | whole -1 4194305
batch-size        | 2048    | model /model/batch_size 2048               | whole 0 65537
ubatch-size       | 256     | model /model/ubatch_size 256               | whole 0 65537
n-parallel        | 16      | model /performance/n_parallel 16           | [0, 1.5, "4", true]
n-keep            | 4       | -                                          | [-2, "4", 1.0]
ctx-shift         | true    | -                                          | [1, "summarise"]
threads           | 3       | model /model/threads 3                     | whole -2 1025
threads-batch     | 5       | model /model/threads_batch 5               | whole -2 1025
numa              | 2       | model /model/numa "isolate"                | [4, "x", 1.0]
n-gpu-layers      | 0       | model /model/n_gpu_layers 0                | [-2, "9", 1.0]
main-gpu          | 1       | model /model/main_gpu 1                    | whole -1 128
tensor-split      | "3,2"   | model /model/tensor_split [3, 2]           | ["3;2", "-1", "inf", "NaN", "3,,2", ["1"], 3]
split-mode        | "row"   | model /model/split_mode "row"              | ["tensor", 3]
cpu-moe           | true    | model /model/cpu_moe true                  | flag
n-cpu-moe         | 7       | model /model/n_cpu_moe 7                   | whole -1 1001
no-kv-offload     | true    | model /model/kv_offload false              | flag
use-mmap          | false   | model /model/use_mmap false                | flag
use-mlock         | true    | model /model/use_mlock true                | flag
cache-type-k      | 8       | model /model/cache_type_k "q8_0"           | [4, "f8", true]
cache-type-v      | "BF16"  | model /model/cache_type_v "bf16"           | [31, "q2_k"]
flash-attn        | "off"   | model /model/flash_attn "off"              | [2, "maybe"]
check-tensors     | true    | model /model/check_tensors true            | flag
lora              | ["a.gguf", {"path": "b", "scale": 0.5}] | model /model/lora \
    [{"path": "a.gguf", "scale": 1}, {"path": "b", "scale": 0.5}] | \
    [1, [""], [{"scale": 1}], [{"path": "a", "scale": 101}], [{"path": "a", "x": 1}], ["a\u0000"]]
rope-scaling-type | 2       | model /model/rope_scaling "yarn"           | [4, "ntk"]
rope-freq-base    | 1000000 | model /model/rope_freq_base 1000000        | real -0.1 1.1e9
rope-freq-scale   | 0.5     | model /model/rope_freq_scale 0.5           | real -0.1 1001.0
yarn-ext-factor   | 0       | model /model/yarn_ext_factor 0             | real -1.1 1001.0
yarn-attn-factor  | 1       | model /model/yarn_attn_factor 1            | real -1.1 1001.0
yarn-beta-fast    | 32      | model /model/yarn_beta_fast 32             | real -1.1 1001.0
yarn-beta-slow    | 1.5     | model /model/yarn_beta_slow 1.5            | real -1.1 1001.0
yarn-orig-ctx     | 4096    | model /model/yarn_orig_ctx 4096            | whole -1 4194305
temp              | 1       | call /sampling/temp 1.0                    | [100.5, "hot"]
top-k             | -1      | call /sampling/top_k 0                     | [-2, 4.0]
top-p             | 0.5     | call /sampling/top_p 0.5                   | [1.01, "1"]
min-p             | 0       | call /sampling/min_p 0.0                   | real -0.1 1.1
typ-p             | 0.9     | call /sampling/typical_p 0.9               | real -0.1 1.1
top-n-sigma       | 1.5     | call /sampling/top_n_sigma 1.5             | real -1.1 100.1
xtc-probability   | 0.5     | call /sampling/xtc_probability 0.5         | real -0.1 1.1
xtc-threshold     | 0.2     | call /sampling/xtc_threshold 0.2           | real -0.1 1.1
dynatemp-range    | 0.5     | call /sampling/dynatemp_range 0.5          | real -0.1 100.1
dynatemp-exponent | 2       | call /sampling/dynatemp_exponent 2.0       | real -0.1 100.1
min-keep          | 3       | call /sampling/min_keep 3                  | whole -1 1001
seed              | 7       | call /sampling/seed 7                      | whole -2 4294967296
last-n-penalty    | -1      | call /sampling/penalty_last_n 1048576      | [-2, 0.5]
repeat-penalty    | 1.3     | call /sampling/repeat_penalty 1.3          | real 0.0 10.1
presence-penalty  | -1      | call /sampling/presence_penalty -1.0       | real -10.1 10.1
frequency-penalty | 0.5     | call /sampling/frequency_penalty 0.5       | real -10.1 10.1
dry-multiplier    | 0.8     | call /sampling/dry_multiplier 0.8          | real -0.1 100.1
dry-base          | 2       | call /sampling/dry_base 2.0                | real 0.9 100.1
dry-allowed-length | 4      | call /sampling/dry_allowed_length 4        | whole -1 1048577
dry-last-n-penalty | 128    | call /sampling/dry_penalty_last_n 128      | [-2, 1.0]
mirostat          | 2       | call /sampling/mirostat 2                  | whole -1 3
mirostat-eta      | 0.2     | call /sampling/mirostat_eta 0.2            | real -0.1 1.1
mirostat-tau      | 3       | call /sampling/mirostat_tau 3.0            | real -0.1 100.1
logit-bias        | [[5, -1.5], ["a", false]] | call /sampling/logit_bias [[5, -1.5], ["a", false]] | \
    [1, [[5]], [[5, 101]], [["", 1]], {"5": true}, {"": 1}, [[1.5, 1]], [5, 1]]
n-probs           | 3       | call /sampling/n_probs 3                   | whole -1 101
grammar           | "root ::= x" | call /sampling/grammar "root ::= x"   | [1, true, ["a"], {}]
json-schema       | {"z": 1, "a": 2} | call /sampling/json_schema {"z": 1, "a": 2} | ["{", "3", 1, []]
n-predict         | 5       | call /stopping/max_tokens 5                | [-2, 1.0, "5"]
reverse-prompt    | "User:" | call /stopping/stop_after ["User:"]        | [1, [1], {}]
stop              | ["a", "", "b"] | call /stopping/stop ["a", "b"]      | [1, ["a", 1], {}]
ignore-eos        | true    | call /stopping/ignore_eos true             | flag
max-time-ms       | 9       | call /stopping/max_time_ms 9               | whole -1 86400001
priority          | "High"  | call /priority "high"                      | ["asap", true]
embedding         | false   | -                                          | flag
embd-normalize    | -1      | -                                          | whole -2 101
pooling-type      | 2       | -                                          | [5, "max"]
attention-type    | 1       | -                                          | [2, "both"]
reranking         | false   | -                                          | flag
"#;

/// Key, good value, document with path and value, wrong values.
type Line = (&'static str, Value, Option<(String, Value)>, Vec<Value>);

fn table() -> Vec<Line> {
    let joined = TABLE.replace("\\\n", "");
    let lines: Vec<&str> = Box::leak(joined.into_boxed_str()).trim().lines().collect();
    lines.into_iter().map(line).collect()
}

fn line(line: &'static str) -> Line {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [key, good, becomes, wrong] = columns[..] else {
        panic!("{line}");
    };
    let place = becomes.split_once(' ').map(|(document, rest)| {
        let (path, value) = rest.trim_start().split_once(' ').unwrap();
        (format!("/{document}{path}"), parsed(value))
    });
    (key, parsed(good), place, wrong_values(wrong))
}

fn wrong_values(text: &str) -> Vec<Value> {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["flag"] => parsed(r#"[1, "true", [], 0]"#).as_array().unwrap().clone(),
        ["whole", below, above] => {
            let others = r#""1", 1.0, true, 18446744073709551615, 1e30, []"#;
            parsed(&format!("[{below}, {above}, {others}]"))
                .as_array()
                .unwrap()
                .clone()
        }
        ["real", below, above] => {
            let text = format!(r#"[{below}, {above}, "1", [1], true, 1e300]"#);
            parsed(&text).as_array().unwrap().clone()
        }
        _ => parsed(text).as_array().unwrap().clone(),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn with(key: &str, value: &Value) -> String {
    json!({ key: value }).to_string()
}

#[test]
fn every_row_of_the_table_is_tried() {
    let tried: Vec<&str> = table().iter().map(|(key, ..)| *key).collect();
    let keys: Vec<&str> = rows::rows().map(|row| row.key).collect();
    assert_eq!(tried, keys);
}

#[test]
fn a_good_value_goes_to_its_place_and_nothing_else_changes() {
    for (key, good, place, _) in table() {
        let found = wanted(&with(key, &good));
        let mut expect = json!({"model": {}, "call": {}});
        if let Some((path, value)) = &place {
            let mut at = &mut expect;
            for name in path.split('/').skip(1) {
                at = &mut at[name];
            }
            *at = value.clone();
        }
        assert_eq!(difference(&found), expect, "{key}");
        let is_default = found == wanted_of_nothing();
        assert!(
            place.is_none() || !is_default,
            "{key} is tried with its default"
        );
        assert_eq!(found.warnings, Vec::<String>::new(), "{key}");
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_value() {
    for (key, _, _, wrong) in table() {
        assert!(!wrong.is_empty(), "{key}");
        for value in &wrong {
            let fault = settle(&with(key, value)).expect_err(&with(key, value));
            let Fault::Wrong(said) = fault else {
                panic!("{key}: {fault:?}");
            };
            assert!(
                said.starts_with(&format!("{key} is {value}, must be ")),
                "{said}"
            );
        }
    }
}

#[test]
fn lists_and_texts_have_a_longest_length() {
    let text = |bytes: usize| "a".repeat(bytes);
    let check = |key: &str, value: Value, is_good: bool| {
        assert_eq!(settle(&with(key, &value)).is_ok(), is_good, "{key}");
    };
    for key in ["stop", "reverse-prompt"] {
        check(key, json!(vec!["a"; 64]), true);
        check(key, json!(vec!["a"; 65]), false);
        check(key, json!(text(1024)), true);
        check(key, json!([text(1025)]), false);
    }
    check("mmproj", json!(text(4096)), true);
    check("mmproj", json!(text(4097)), false);
    check("tensor-split", json!(vec![1; 128]), true);
    check("tensor-split", json!(vec![1; 129]), false);
    check("lora", json!(vec!["a"; 64]), true);
    check("lora", json!(vec!["a"; 65]), false);
    check("lora", json!([text(4097)]), false);
}

#[test]
fn what_is_written_as_its_default_says_nothing_new() {
    for row in rows::rows() {
        let value = row.default.value();
        let found = wanted(&with(row.key, &value));
        assert_eq!(
            difference(&found),
            json!({"model": {}, "call": {}}),
            "{}",
            row.key
        );
    }
}

#[test]
fn no_name_belongs_to_two_rows() {
    let names = rows::rows().flat_map(|row| row.also.iter().chain([&row.key]));
    for name in names {
        let owners = rows::rows().filter(|row| row.is_called(name)).count();
        assert_eq!(owners, 1, "{name}");
        let is_spelt = if name.contains('.') {
            !name.contains('-')
        } else {
            !name.contains('_')
        };
        assert!(is_spelt, "{name}");
    }
}

#[test]
fn numbers_beyond_what_they_can_mean_are_lowered_or_raised_with_a_warning() {
    for (text, place, value) in [
        (
            r#"{"n-predict": 2147483647}"#,
            "call.stopping.max_tokens",
            json!(1_048_576),
        ),
        (
            r#"{"n-parallel": 1000}"#,
            "model.performance.n_parallel",
            json!(256),
        ),
        (
            r#"{"n-gpu-layers": 2147483647}"#,
            "model.model.n_gpu_layers",
            json!(100_000),
        ),
        (
            r#"{"top-k": 18446744073709551615}"#,
            "call.sampling.top_k",
            json!(1_000_000),
        ),
        (r#"{"temp": -0.5}"#, "call.sampling.temp", json!(0.0)),
        (r#"{"top-p": -1}"#, "call.sampling.top_p", json!(0.0)),
    ] {
        let found = wanted(text);
        let pointer = format!("/{}", place.replace('.', "/"));
        assert_eq!(difference(&found).pointer(&pointer), Some(&value), "{text}");
        assert_eq!(found.warnings.len(), 1, "{text}");
        assert!(
            found.warnings[0].starts_with("changed: "),
            "{:?}",
            found.warnings
        );
    }
}

#[test]
fn words_numbers_and_booleans_of_one_choice_are_one() {
    let same = |key: &str, values: &[Value]| {
        let found: Vec<_> = values
            .iter()
            .map(|value| wanted(&with(key, value)))
            .collect();
        for other in &found {
            assert_eq!(other, &found[0], "{key}");
        }
    };
    same(
        "flash-attn",
        &[json!("on"), json!("enabled"), json!(true), json!(1)],
    );
    same("flash-attn", &[json!("auto"), json!(-1), Value::Null]);
    same(
        "flash-attn",
        &[json!("off"), json!("disabled"), json!(false), json!(0)],
    );
    same("numa", &[json!(false), json!(0), Value::Null]);
    same("numa", &[json!(1), json!(true), json!("distribute")]);
    same(
        "cache-type-k",
        &[json!(1), json!("f16"), json!("F16"), Value::Null],
    );
    same("split-mode", &[json!(1), json!("layer"), Value::Null]);
    same(
        "rope-scaling-type",
        &[json!(-1), json!("model"), Value::Null],
    );
    same(
        "tensor-split",
        &[
            json!("3,2"),
            json!("3/2"),
            json!(" 3 , 2.0"),
            json!([3, 2]),
            json!([3.0, 2]),
        ],
    );
    same("tensor-split", &[json!(""), json!([]), Value::Null]);
    same("seed", &[json!(-1), json!(4_294_967_295_u32), Value::Null]);
    same("threads", &[json!(-1), json!(0), Value::Null]);
    same("n-gpu-layers", &[json!(-1), Value::Null]);
    same(
        "lora",
        &[json!("a"), json!(["a"]), json!([{"scale": 1, "path": "a"}])],
    );
    same("lora", &[json!(""), json!([]), Value::Null]);
    same("stop", &[json!(""), json!([]), json!([""]), Value::Null]);
    same("logit-bias", &[json!([]), json!({}), Value::Null]);
    same("n-parallel", &[json!(1), json!(8), Value::Null]);
}
