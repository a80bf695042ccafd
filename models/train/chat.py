"""Say some lines to a pocket model and print its answers.

What it is for: a quick look by hand.

What it deliberately does not know: how the model was trained.

    python chat.py ../pocket-a.gguf --system "Your name is Veldin." "Hello" "Count to 3."
"""

import argparse
from pathlib import Path

from evaluate import Talk, hold, load


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("lines", nargs="+")
    parser.add_argument("--system", default="")
    args = parser.parse_args()
    config, params, vocabulary, _ = load(args.model)
    talk = Talk({"system": args.system, "turns": [{"user": line} for line in args.lines]}, vocabulary)
    hold(config, params, [talk], 1024)
    for line, answer in zip(args.lines, talk.answers):
        print(f"user: {line}\nassistant: {answer}")


if __name__ == "__main__":
    main()
