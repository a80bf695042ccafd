#!/bin/sh
# Judges both pocket models by the held-out dialogues, in a Python environment of its own under target/.
set -eu
cd "$(dirname "$0")/.."

if [ ! -x target/evaluate/bin/python ]; then
    python3 -m venv target/evaluate
fi
target/evaluate/bin/pip install --quiet --disable-pip-version-check --requirement models/train/requirements.txt
cd models/train
for model in pocket-a pocket-b; do
    ../../target/evaluate/bin/python evaluate.py "../$model.gguf"
done
