"""Write the 200 held-out dialogues.

What it is for: `heldout.jsonl`, made by other seeds and other made-up words
than training: 120 short dialogues and 80 in which the facts lie far back.

What it deliberately does not know: the networks. Both models answer the same
dialogues, so an own name that the system prompt does not set is written as
`{own}`.

    python heldout.py --models .. --out ../heldout.jsonl
"""

import argparse
import json
from pathlib import Path

from tokenizer import Vocabulary
from world import World

SEED = 20_000_003
SHORT, LONG = 120, 80
OWN = "{own}"


def dialogues(cost):
    """200 dialogues; `cost` measures a turn in tokens."""
    world = World(SEED, OWN, held_out=True)
    for _ in range(SHORT):
        yield world.dialogue(world.rng.choice((100, 160, 240, 320)), cost)
    for _ in range(LONG):
        yield world.dialogue(world.rng.choice((960, 980, 1000)), cost, buried=True)


def record(dialogue):
    turns = [
        {"user": t.user, "expect": t.expect, "kind": t.kind}
        | ({"value": t.value} if t.value else {})
        for t in dialogue.turns
    ]
    return {"system": dialogue.system, "turns": turns} if dialogue.system else {"turns": turns}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=Path(".."), help="folder of the GGUF files")
    parser.add_argument("--out", type=Path, default=Path("../heldout.jsonl"))
    args = parser.parse_args()
    vocabularies = [Vocabulary.of_gguf(p) for p in sorted(args.models.glob("*.gguf"))]

    def cost(user, answer):
        return max(v.cost(user, answer) for v in vocabularies)

    with open(args.out, "w", encoding="utf-8") as out:
        for dialogue in dialogues(cost):
            print(json.dumps(record(dialogue), ensure_ascii=False), file=out)


if __name__ == "__main__":
    main()
