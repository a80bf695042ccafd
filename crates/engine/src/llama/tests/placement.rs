//! Where a model's parts are to lie, and what is refused as it is read.
//!
//! Without a device everything lies in the machine's memory whatever is asked for: what can be seen here is which
//! tensors are named, and that llama.cpp takes the names.

use std::sync::Arc;

use super::forge::Forge;
use super::support::*;
use crate::llama::model::expert_pattern;
use crate::llama::*;

#[test]
fn experts_are_named_by_their_layers_and_nothing_else_is() {
    let check = |experts: CpuExperts, layer: u32, part: &str, expect: bool| {
        let pattern = expert_pattern(experts).expect("a pattern");
        let pattern = regex::Regex::new(&pattern).expect("a regular expression");
        let name = format!("blk.{layer}.{part}.weight");
        assert_eq!(pattern.is_match(&name), expect, "{experts:?} {name}");
    };
    assert_eq!(expert_pattern(CpuExperts::First(0)), None);
    for part in [
        "ffn_up_exps",
        "ffn_down_exps",
        "ffn_gate_exps",
        "ffn_gate_up_exps",
    ] {
        check(CpuExperts::All, 47, part, true);
        check(CpuExperts::First(12), 11, part, true);
        check(CpuExperts::First(12), 0, part, true);
        check(CpuExperts::First(12), 12, part, false);
        check(CpuExperts::First(1), 10, part, false);
        check(CpuExperts::First(1000), 511, part, true);
    }
    for part in ["ffn_up", "ffn_gate_inp", "attn_q", "ffn_up_shexp"] {
        check(CpuExperts::All, 0, part, false);
        check(CpuExperts::First(12), 0, part, false);
    }
}

#[test]
fn a_mixture_says_the_same_wherever_it_is_to_lie() {
    let path = Forge::mixture().write("mixture.gguf");
    let logits = |params: ModelParams| {
        let model = Model::load(&path, &params, &mut |_| true).expect("a mixture");
        let model = Arc::new(model);
        let params = ContextParams {
            offload_kv: params.split_mode == SplitMode::Layer,
            ..context_params()
        };
        let mut context = Context::new(model, &params).expect("a context");
        let seq = context.seq(0).expect("a sequence");
        feed(&mut context, seq, &[Token(5), Token(6)])
    };
    let plain = logits(model_params());
    for cpu_experts in [
        CpuExperts::First(1),
        CpuExperts::First(1000),
        CpuExperts::All,
    ] {
        for split_mode in [SplitMode::None, SplitMode::Layer, SplitMode::Row] {
            let params = ModelParams {
                split_mode,
                cpu_experts,
                ..model_params()
            };
            assert_eq!(logits(params), plain, "{cpu_experts:?} {split_mode:?}");
        }
    }
}

#[test]
fn values_that_are_no_numbers_are_refused_where_that_is_asked_for() {
    let mut forge = Forge::model();
    forge.fill("blk.0.ffn_up.weight", f32::NAN);
    let path = forge.write("no-numbers.gguf");
    assert!(load(&path).is_ok());
    for use_mmap in [true, false] {
        let params = ModelParams {
            check_tensors: true,
            use_mmap,
            ..model_params()
        };
        let error = Model::load(&path, &params, &mut |_| true).unwrap_err();
        assert!(error.to_string().contains("invalid data"), "{error}");
        let good = Forge::model().write("numbers.gguf");
        assert!(Model::load(&good, &params, &mut |_| true).is_ok());
    }
}
