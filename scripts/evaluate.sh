#!/bin/sh
# Judges both pocket models by the held-out dialogues, through the engine. The models' own tools judge more finely, by the
# distance between a fact and its question: models/train/evaluate.py.
set -eu
cd "$(dirname "$0")/.."

for model in models/pocket-a.gguf models/pocket-b.gguf; do
    echo "==> $model"
    cargo run --locked --release --quiet --package engine --example heldout -- "$model"
done
