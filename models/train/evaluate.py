"""Judge a pocket model by the held-out dialogues.

What it is for: read a GGUF file (not a checkpoint), hold every dialogue of
`heldout.jsonl` with it at temperature 0, its own answers in the history, and
print how many turns of each kind it answered right; recall is counted by how
many tokens ago the fact was last mentioned.

What it deliberately does not know: how the model was trained.

    python evaluate.py ../pocket-a.gguf
"""

import argparse
import json
from collections import defaultdict
from functools import partial
from pathlib import Path

import gguf
import jax
import jax.numpy as jnp
import numpy as np

import model
from specs import MODELS
from tokenizer import Vocabulary

LONGEST_ANSWER = 160
FAR = 800
PENALTY_WINDOW = 64


def load(path):
    """The configuration, weights, vocabulary and own name in a GGUF file."""
    reader = gguf.GGUFReader(path)

    def value(key):
        return reader.fields[key].contents()

    heads = value("llama.attention.head_count")
    config = model.Config(
        vocab=value("llama.vocab_size"),
        width=value("llama.embedding_length"),
        layers=value("llama.block_count"),
        heads=heads,
        hidden=value("llama.feed_forward_length"),
        rope_base=value("llama.rope.freq_base"),
    )
    raw = {t.name: np.asarray(t.data).astype(np.float32) for t in reader.tensors}

    def half_split(weight):
        out, inner = weight.shape
        return weight.reshape(heads, out // heads // 2, 2, inner).swapaxes(1, 2).reshape(out, inner)

    def stack(names, change=lambda w: w.T):
        return np.stack([change(raw[n]) for n in names])

    blocks = [f"blk.{i}." for i in range(config.layers)]
    params = {
        "embed": raw["token_embd.weight"],
        "out_norm": raw["output_norm.weight"],
        "qkv": np.stack([
            np.stack([
                half_split(raw[b + "attn_q.weight"]).T,
                half_split(raw[b + "attn_k.weight"]).T,
                raw[b + "attn_v.weight"].T,
            ])
            for b in blocks
        ]),
        "out": stack([b + "attn_output.weight" for b in blocks]),
        "gate_up": np.stack([
            np.stack([raw[b + "ffn_gate.weight"].T, raw[b + "ffn_up.weight"].T]) for b in blocks
        ]),
        "down": stack([b + "ffn_down.weight" for b in blocks]),
        "attn_norm": stack([b + "attn_norm.weight" for b in blocks], lambda w: w),
        "ffn_norm": stack([b + "ffn_norm.weight" for b in blocks], lambda w: w),
    }
    params = {k: jnp.asarray(v) for k, v in params.items()}
    own_name = MODELS[value("general.name")].own_name
    return config, params, Vocabulary.of_gguf(path), own_name


class Talk:
    """One running dialogue: what is fed next, what was answered."""

    def __init__(self, record, vocabulary):
        self.turns = record["turns"]
        self.vocabulary = vocabulary
        self.history = []
        self.answers = []
        self.asked_at = []
        self.queue = []
        self.answer = None
        if record.get("system"):
            self.queue += vocabulary.message("system", record["system"])
        self.ask()

    @property
    def done(self):
        return len(self.answers) == len(self.turns)

    def ask(self):
        turn = self.turns[len(self.answers)]
        self.queue += self.vocabulary.message("user", turn["user"]) + self.vocabulary.opening()
        self.asked_at.append(len(self.history) + len(self.queue))
        self.answer = []

    def feed(self):
        """The next token to feed."""
        token = self.queue.pop(0) if self.queue else self.answer[-1]
        self.history.append(token)
        return token

    def take(self, token):
        """The model's choice after what was fed; heeded when nothing is queued."""
        if self.queue or self.done:
            return
        if token == self.vocabulary.end or len(self.answer) == LONGEST_ANSWER:
            self.answers.append(self.vocabulary.decode(self.answer))
            self.queue += [self.vocabulary.end, *self.vocabulary.newline]
            if not self.done:
                self.ask()
        else:
            self.answer.append(token)


def chosen(logits, talks, penalty):
    """The likeliest tokens, those of the last 64 made less likely by `penalty`."""
    logits = np.array(logits)
    if penalty != 1.0:
        for row, talk in zip(logits, talks):
            recent = list(set(talk.history[-PENALTY_WINDOW:]))
            row[recent] = np.where(row[recent] > 0, row[recent] / penalty, row[recent] * penalty)
    return logits.argmax(axis=-1)


def hold(config, params, talks, room, penalty=1.0):
    """Hold all the dialogues side by side, one token of each at a time."""
    step = jax.jit(partial(model.step, params, config), donate_argnums=0)
    cache = model.empty_cache(config, len(talks), room)
    for position in range(room):
        if all(t.done for t in talks):
            return
        tokens = np.array([0 if t.done else t.feed() for t in talks], np.int32)
        cache, logits = step(cache, tokens, position)
        for talk, token in zip(talks, chosen(logits, talks, penalty)):
            talk.take(int(token))


def distance(talk, record, number):
    """Tokens between the last mention of a turn's value and the end of its question."""
    value = record["turns"][number]["value"]
    asked_at = talk.asked_at[number]
    forms = [talk.vocabulary.encode(value), talk.vocabulary.encode(" " + value)]
    for start in range(asked_at, -1, -1):
        if any(talk.history[start : min(start + len(f), asked_at)] == f for f in forms):
            return asked_at - start
    return 0


def judge(record, talk, own_name, tally, misses):
    for number, turn in enumerate(record["turns"]):
        expect = [word.replace("{own}", own_name) for word in turn["expect"]]
        answer = talk.answers[number] if number < len(talk.answers) else ""
        right = all(word in answer for word in expect)
        kind = turn["kind"]
        tally[kind].append(right)
        if "value" in turn and not kind.startswith("tell"):
            far = number >= len(talk.asked_at) or distance(talk, record, number) >= FAR
            tally["RECALL far" if far else "RECALL near"].append(right)
            tally["RECALL"].append(right)
        tally["ALL"].append(right)
        if not right:
            misses.append((kind, turn["user"], expect, answer))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--dialogues", type=Path, default=Path("../heldout.jsonl"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th dialogue only")
    parser.add_argument("--misses", type=int, default=0, help="show so many wrong answers")
    parser.add_argument("--penalty", type=float, default=1.0, help="repetition penalty")
    args = parser.parse_args()
    config, params, vocabulary, own_name = load(args.model)
    lines = args.dialogues.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines][:: args.every]
    tally, misses = defaultdict(list), []
    for lowest, room in ((0, 640), (512, 1400)):
        sized = [
            r for r in records
            if (sum(vocabulary.cost(t["user"], t["expect"][0]) for t in r["turns"]) >= 512) == bool(lowest)
        ]
        talks = [Talk(r, vocabulary) for r in sized]
        hold(config, params, talks, room, args.penalty)
        for record, talk in zip(sized, talks):
            judge(record, talk, own_name, tally, misses)
    print(f"{args.model.name}: {len(records)} dialogues, temperature 0, repetition penalty {args.penalty}")
    for kind in sorted(tally):
        right, total = sum(tally[kind]), len(tally[kind])
        print(f"{kind:15} {right:5} of {total:5}  {100 * right / total:6.2f} %")
    for miss in misses[: args.misses]:
        print(miss)


if __name__ == "__main__":
    main()
