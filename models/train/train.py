"""Train one pocket model.

What it is for: the optimiser (Muon for the matrices, Adam for the rest), the
schedule of row lengths and learning rate, the running
average of the weights (which is what is kept), checkpoints.

What it deliberately does not know: how dialogues are made (`world.py`), how
they become rows (`rows.py`), what the network looks like (`model.py`).

    python train.py pocket-a --minutes 76 --out checkpoints
"""

import argparse
import random
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import model
import rows
from specs import MODELS
from tokenizer import Vocabulary, train as train_vocabulary
from world import World

MUON_RATE = 0.015
ADAM_RATE = 0.003
WARM_UP = 60
CONSTANT_UNTIL = 0.35
AVERAGE = 0.995
MATRICES = ("qkv", "out", "gate_up", "down")

# (until which part of the run, {row length: share of steps})
STAGES = (
    (0.15, {128: 0.7, 256: 0.3}),
    (0.50, {128: 0.2, 256: 0.65, 512: 0.15}),
    (0.70, {128: 0.15, 256: 0.5, 512: 0.2, 1024: 0.15}),
    (1.00, {256: 0.45, 512: 0.2, 1024: 0.35}),
)
ROWS = {128: 16, 256: 16, 512: 8, 1024: 4}


def orthogonal(g):
    """Nearly the orthogonal factor of each matrix in g (Newton-Schulz)."""
    x = g / (jnp.linalg.norm(g, axis=(-2, -1), keepdims=True) + 1e-7)
    tall = g.shape[-2] > g.shape[-1]
    if tall:
        x = x.swapaxes(-1, -2)
    for _ in range(5):
        a = x @ x.swapaxes(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.swapaxes(-1, -2) if tall else x


def muon(p, g, momentum, rate):
    momentum = 0.95 * momentum + g
    update = orthogonal(g + 0.95 * momentum)
    scale = max(1.0, p.shape[-1] / p.shape[-2]) ** 0.5
    return p * (1 - rate * 0.01) - rate * scale * update, momentum


def adam(p, g, moments, rate, count):
    first, second = moments
    first = 0.9 * first + 0.1 * g
    second = 0.98 * second + 0.02 * g * g
    step = first / (1 - 0.9**count) / (jnp.sqrt(second / (1 - 0.98**count)) + 1e-9)
    return p - rate * step, (first, second)


def fresh_state(params):
    return {
        k: jnp.zeros_like(p) if k in MATRICES else (jnp.zeros_like(p), jnp.zeros_like(p))
        for k, p in params.items()
    }


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def update(config, params, state, average, tokens, positions, weights, rate, count):
    value, grads = jax.value_and_grad(model.loss)(params, config, tokens, positions, weights)
    new_params, new_state = {}, {}
    for k, p in params.items():
        if k in MATRICES:
            new_params[k], new_state[k] = muon(p, grads[k], state[k], rate * MUON_RATE)
        else:
            new_params[k], new_state[k] = adam(p, grads[k], state[k], rate * ADAM_RATE, count)
    average = {k: AVERAGE * average[k] + (1 - AVERAGE) * p for k, p in new_params.items()}
    return new_params, new_state, average, value


def rate_at(progress, count):
    return min(1.0, count / WARM_UP) * min(1.0, max(0.02, (1 - progress) / (1 - CONSTANT_UNTIL)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--minutes", type=float, default=70, help="wall time; the schedule follows it")
    parser.add_argument("--out", type=Path, default=Path("checkpoints"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", type=float, default=0.0, help="go on from this part of the run")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    spec = MODELS[args.name]
    path = args.out / f"{args.name}.vocab.json"
    if not args.resume:
        train_vocabulary(spec.config.vocab, path)
    vocabulary = Vocabulary(path)
    assert len(vocabulary) == spec.config.vocab, len(vocabulary)
    world = World(args.seed + 1000 + int(1000 * args.resume), spec.own_name, pieces=vocabulary.pieces())
    params = model.init_params(spec.config, args.seed)
    if args.resume:
        params = {k: jnp.asarray(v) for k, v in np.load(args.out / f"{args.name}.raw.npz").items()}
    average = jax.tree.map(jnp.copy, params)
    print("parameters", sum(p.size for p in params.values()), flush=True)
    state = fresh_state(params)
    lengths = random.Random(args.seed)
    start = time.time() - args.resume * args.minutes * 60
    saved = time.time()
    count, tokens_seen, losses = 0, 0, []
    while True:
        progress = (time.time() - start) / (args.minutes * 60)
        if progress >= 1:
            break
        shares = next(s for until, s in STAGES if progress < until)
        length = lengths.choices(list(shares), list(shares.values()))[0]
        data = rows.batch(world, vocabulary, ROWS[length], length)
        count += 1
        tokens_seen += ROWS[length] * length
        params, state, average, value = update(
            spec.config, params, state, average, *data, rate_at(progress, count), count
        )
        losses.append(float(value))
        if count % 50 == 0:
            print(
                f"step {count} {100 * progress:.1f}% tokens {tokens_seen} "
                f"loss {np.mean(losses[-50:]):.4f} seconds {time.time() - start:.0f}",
                flush=True,
            )
        if time.time() - saved > 240:
            saved = time.time()
            np.savez(args.out / f"{args.name}.npz", **average)
            np.savez(args.out / f"{args.name}.raw.npz", **params)
    np.savez(args.out / f"{args.name}.npz", **average)
    print("done", count, "steps", tokens_seen, "tokens", flush=True)


if __name__ == "__main__":
    main()
