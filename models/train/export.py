"""Write a trained pocket model as one GGUF file.

What it is for: turn a checkpoint and its vocabulary into llama-architecture
GGUF: F16 matrices, F32 norms, tokens, merges, chat template, licence.

What it deliberately does not know: training and the small world.

    python export.py pocket-a --checkpoints checkpoints --out ..
"""

import argparse
from pathlib import Path

import gguf
import numpy as np

import model
from specs import MODELS
from tokenizer import CHAT_TEMPLATE, SPECIALS, Vocabulary

CONTEXT = 2048
NORMAL, CONTROL = 1, 3


def interleaved(weight, heads):
    """Rows of a query or key matrix (out, in): half-split pairs to (2i, 2i+1)."""
    out, inner = weight.shape
    return (
        weight.reshape(heads, 2, out // heads // 2, inner).swapaxes(1, 2).reshape(out, inner)
    )


def tensors(config, params):
    """(GGUF name, array) in file order; matrices (out, in)."""

    def half(matrix):
        return np.ascontiguousarray(matrix).astype(np.float16)

    yield "token_embd.weight", half(params["embed"])
    yield "output_norm.weight", params["out_norm"].astype(np.float32)
    for i in range(config.layers):
        q, k, v = [params["qkv"][i, j].T for j in range(3)]
        block = f"blk.{i}."
        yield block + "attn_norm.weight", params["attn_norm"][i].astype(np.float32)
        yield block + "attn_q.weight", half(interleaved(q, config.heads))
        yield block + "attn_k.weight", half(interleaved(k, config.heads))
        yield block + "attn_v.weight", half(v)
        yield block + "attn_output.weight", half(params["out"][i].T)
        yield block + "ffn_norm.weight", params["ffn_norm"][i].astype(np.float32)
        yield block + "ffn_gate.weight", half(params["gate_up"][i, 0].T)
        yield block + "ffn_up.weight", half(params["gate_up"][i, 1].T)
        yield block + "ffn_down.weight", half(params["down"][i].T)


def export(name, params, vocabulary, path):
    spec = MODELS[name]
    config = spec.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(name)
    writer.add_description(
        f"A tiny chat model that calls itself {spec.own_name}; it knows only a small world."
    )
    writer.add_license("Apache-2.0 WITH LLVM-exception")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(config.vocab)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.width)
    writer.add_block_count(config.layers)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(model.EPS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types([CONTROL if t in SPECIALS else NORMAL for t in vocabulary.tokens])
    writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.end)
    writer.add_eot_token_id(vocabulary.end)
    writer.add_pad_token_id(vocabulary.bos)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for tensor_name, array in tensors(config, params):
        writer.add_tensor(tensor_name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    parser.add_argument("--out", type=Path, default=Path(".."))
    args = parser.parse_args()
    params = dict(np.load(args.checkpoints / f"{args.name}.npz"))
    vocabulary = Vocabulary(args.checkpoints / f"{args.name}.vocab.json")
    path = args.out / f"{args.name}.gguf"
    export(args.name, params, vocabulary, path)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
