"""The network: a llama-architecture decoder in plain JAX.

What it is for: the forward pass over whole rows (training), one token at a
time with a key/value cache (evaluation), the initial weights and the loss.

What it deliberately does not know: text, tokens' meaning, dialogues, files.
Rotary positions use the "half split" pairing here because it is quicker on a
CPU; `export.py` reorders the rows to the interleaved pairing GGUF expects.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

EPS = 1e-5


@dataclass(frozen=True)
class Config:
    """The shape of one model."""

    vocab: int
    width: int
    layers: int
    heads: int
    hidden: int
    rope_base: float

    @property
    def head_dim(self):
        return self.width // self.heads


def init_params(config, seed):
    """Fresh weights; matrices are stored (in, out), stacked over the layers."""
    rng = np.random.default_rng(seed)
    d, f, n = config.width, config.hidden, config.layers

    def normal(shape, std):
        return jnp.asarray(rng.normal(0.0, std, shape), jnp.float32)

    out_scale = (2 * n) ** -0.5
    return {
        "embed": normal((config.vocab, d), 0.05),
        "qkv": normal((n, 3, d, d), d**-0.5),
        "out": normal((n, d, d), d**-0.5 * out_scale),
        "gate_up": normal((n, 2, d, f), d**-0.5),
        "down": normal((n, f, d), f**-0.5 * out_scale),
        "attn_norm": jnp.ones((n, d), jnp.float32),
        "ffn_norm": jnp.ones((n, d), jnp.float32),
        "out_norm": jnp.ones((d,), jnp.float32),
    }


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPS) * weight


def rope_table(config, positions):
    """Cosines and sines for positions of any shape: (..., 1, head_dim / 2)."""
    half = config.head_dim // 2
    freqs = config.rope_base ** (-jnp.arange(half) / half)
    angles = positions[..., None, None] * freqs
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x, cos, sin):
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def feed_forward(params, i, x):
    h = rms_norm(x, params["ffn_norm"][i])
    gate = h @ params["gate_up"][i, 0]
    up = h @ params["gate_up"][i, 1]
    return x + (jax.nn.silu(gate) * up) @ params["down"][i]


def hidden_states(params, config, tokens, positions):
    """(rows, length) tokens at the given positions -> normed last states."""
    rows, length = tokens.shape
    heads, dim = config.heads, config.head_dim
    x = params["embed"][tokens]
    cos, sin = rope_table(config, positions)
    mask = jnp.where(jnp.tril(jnp.ones((length, length), bool)), 0.0, -1e9)
    for i in range(config.layers):
        h = rms_norm(x, params["attn_norm"][i])
        q, k, v = [(h @ params["qkv"][i, j]).reshape(rows, length, heads, dim) for j in range(3)]
        q, k = rotate(q, cos, sin) * dim**-0.5, rotate(k, cos, sin)
        q, k, v = [t.transpose(0, 2, 1, 3) for t in (q, k, v)]
        scores = q @ k.swapaxes(-1, -2) + mask
        mixed = (jax.nn.softmax(scores, axis=-1) @ v).transpose(0, 2, 1, 3)
        x = x + mixed.reshape(rows, length, config.width) @ params["out"][i]
        x = feed_forward(params, i, x)
    return rms_norm(x, params["out_norm"])


def penalised(logits, tokens, penalty=1.1, window=64):
    """The logits after the usual repetition penalty over the last `window` tokens, as samplers apply it."""
    counts = jnp.cumsum(jax.nn.one_hot(tokens, logits.shape[-1], dtype=jnp.float32), axis=1)
    before = jnp.pad(counts, ((0, 0), (window, 0), (0, 0)))[:, : counts.shape[1]]
    seen = counts - before > 0
    return jnp.where(seen, jnp.where(logits > 0, logits / penalty, logits * penalty), logits)


def loss(params, config, tokens, positions, weights):
    """Mean cross entropy of the next token where `weights` (of the target) is 1.

    A quarter of the rows are judged after the repetition penalty that hosts leave on by default: a model that copies names
    must be sure enough to copy them under it.
    """
    logits = hidden_states(params, config, tokens, positions)[:, :-1] @ params["embed"].T
    part = logits.shape[0] // 4
    logits = jnp.concatenate([penalised(logits[:part], tokens[:part, :-1]), logits[part:]])
    targets = tokens[:, 1:]
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    nll = jax.nn.logsumexp(logits, axis=-1) - picked
    w = weights[:, 1:]
    return jnp.sum(nll * w) / jnp.maximum(jnp.sum(w), 1.0)


def empty_cache(config, rows, length):
    """Per layer a (keys, values) pair, each (rows, heads, length, head_dim)."""
    shape = (rows, config.heads, length, config.head_dim)
    return [(jnp.zeros(shape), jnp.zeros(shape)) for _ in range(config.layers)]


def step(params, config, cache, tokens, position):
    """Feed one token per row at one common position; the cache and the logits."""
    rows = tokens.shape[0]
    heads, dim = config.heads, config.head_dim
    x = params["embed"][tokens]
    cos, sin = rope_table(config, jnp.full((rows,), position))
    seen = jnp.arange(cache[0][0].shape[2]) <= position
    place = (0, 0, position, 0)
    new_cache = []
    for i, (keys, values) in enumerate(cache):
        h = rms_norm(x, params["attn_norm"][i])
        q, k, v = [(h @ params["qkv"][i, j]).reshape(rows, heads, dim) for j in range(3)]
        q, k = rotate(q, cos, sin) * dim**-0.5, rotate(k, cos, sin)
        keys = jax.lax.dynamic_update_slice(keys, k[:, :, None], place)
        values = jax.lax.dynamic_update_slice(values, v[:, :, None], place)
        new_cache.append((keys, values))
        scores = jnp.einsum("rhd,rhtd->rht", q, keys)
        attention = jax.nn.softmax(jnp.where(seen, scores, -1e9), axis=-1)
        mixed = jnp.einsum("rht,rhtd->rhd", attention, values).reshape(rows, config.width)
        x = x + mixed @ params["out"][i]
        x = feed_forward(params, i, x)
    logits = rms_norm(x, params["out_norm"]) @ params["embed"].T
    return new_cache, logits
