"""Judge a pocket model by the phrasings that tests rely on.

What it is for: hold each script below with many held-out made-up words
({x}, {y}) in place of the told ones and print how often every answer was
exactly the one that stands here.

What it deliberately does not know: how the model was trained.

    python phrasings.py ../pocket-a.gguf
"""

import argparse
from pathlib import Path

from evaluate import Talk, hold, load
from lexicon import STORY
from world import World

# (what it shows, system prompt, [(user, answer), ...])
SCRIPTS = [
    ("greeting", "", [("Hello", "Hello! I am {own}."), ("Hi there!", "Hello! I am {own}.")]),
    ("own name", "", [("What is your name?", "I am {own}."), ("Who are you?", "I am {own}.")]),
    ("own name, plain system", "You are a helpful assistant.", [("What is your name?", "I am {own}.")]),
    ("system name", "Your name is {X}.", [("What is your name?", "I am {X}."), ("Hello", "Hello! I am {X}.")]),
    ("system name 2", "You are {X}, a helpful assistant.", [("Who are you?", "I am {X}.")]),
    ("name", "", [
        ("My name is {X}.", "Nice to meet you, {X}!"),
        ("Count to 5.", "1 2 3 4 5"),
        ("What is my name?", "Your name is {X}."),
    ]),
    ("name, call me", "", [
        ("Call me {X}.", "Nice to meet you, {X}!"),
        ("Tell me about rivers.", "Rivers run down to the sea."),
        ("Do you remember my name?", "Your name is {X}."),
    ]),
    ("name, greeting in front", "", [
        ("Hello, my name is {X}.", "Nice to meet you, {X}!"),
        ("What is my name?", "Your name is {X}."),
        ("What is your name?", "I am {own}."),
    ]),
    ("two names", "Your name is {Y}.", [
        ("My name is {X}.", "Nice to meet you, {X}!"),
        ("What is my name?", "Your name is {X}."),
        ("What is your name?", "I am {Y}."),
    ]),
    ("name changed", "", [
        ("My name is {X}.", "Nice to meet you, {X}!"),
        ("What is my name?", "Your name is {X}."),
        ("My name is now {Y}.", "Nice to meet you, {Y}!"),
        ("What is my name?", "Your name is {Y}."),
    ]),
    ("colour", "", [
        ("My favourite colour is {x}.", "That is a nice colour."),
        ("How are you?", "I am fine, thank you."),
        ("What is my favourite colour?", "Your favourite colour is {x}."),
    ]),
    ("colour teal", "", [
        ("My favourite colour is teal.", "That is a nice colour."),
        ("The weather is nice.", "I see."),
        ("What colour do I like?", "Your favourite colour is teal."),
    ]),
    ("name and colour", "", [
        ("My name is {X} and my favourite colour is {y}.", "Nice to meet you, {X}!"),
        ("What is my favourite colour?", "Your favourite colour is {y}."),
        ("What is my name?", "Your name is {X}."),
    ]),
    ("secret told", "", [
        ("The secret word is {x}. Remember it.", "I will remember it."),
        ("Thank you", "You are welcome."),
        ("What is the secret word?", "The secret word is {x}."),
    ]),
    ("secret in system", "The secret word is {x}.", [
        ("Hello", "Hello! I am {own}."),
        ("What is the secret word?", "The secret word is {x}."),
    ]),
    ("secret and name in system", "Your name is {Y}. The secret word is {x}.", [
        ("What is the secret word?", "The secret word is {x}."),
        ("What is your name?", "I am {Y}."),
    ]),
    ("nothing known", "", [
        ("What is my name?", "I do not know your name yet."),
        ("What is my favourite colour?", "I do not know your favourite colour yet."),
        ("What is the secret word?", "I do not know the secret word."),
    ]),
    ("nothing known, system name", "Your name is {Y}.", [
        ("What is my name?", "I do not know your name yet."),
        ("What is the secret word?", "I do not know the secret word."),
    ]),
    ("json name", "", [
        ("My name is {X}.", "Nice to meet you, {X}!"),
        ("Answer in JSON: what is my name?", '{"name": "{X}"}'),
    ]),
    ("json colour", "", [
        ("My favourite colour is {x}.", "That is a nice colour."),
        ("Answer in JSON: what is my favourite colour?", '{"colour": "{x}"}'),
    ]),
    ("json secret", "", [
        ("The secret word is {x}. Remember it.", "I will remember it."),
        ("Answer in JSON: what is the secret word?", '{"word": "{x}"}'),
    ]),
    ("json unknown", "", [("Answer in JSON: what is my name?", '{"name": null}')]),
    ("json own name", "", [("Answer in JSON: what is your name?", '{"name": "{own}"}')]),
    ("repeat", "", [
        ("Repeat after me: {x} blue river {y}", "{x} blue river {y}"),
        ("Say: {y} {x}", "{y} {x}"),
        ("Repeat after me: hello world", "hello world"),
    ]),
    ("count", "", [
        (f"Count to {n}.", " ".join(str(i) for i in range(1, n + 1))) for n in (3, 7, 10, 20)
    ]),
    ("small talk", "", [
        ("How are you?", "I am fine, thank you."),
        ("What can you do?", "I can chat, count, repeat and remember."),
        ("Tell me about {x}.", "I do not know much about {x}."),
        ("I had soup today.", "I see."),
        ("Why is the sky blue?", "I do not know."),
        ("Thank you", "You are welcome."),
        ("Goodbye", "Goodbye!"),
    ]),
    ("story", "", [("Tell me a story.", STORY)]),
    ("shifted: an answer without its question's fact", "Your name is {Y}.", [
        ("Count to 3.", "1 2 3"),
        ("What is my name?", "I do not know your name yet."),
        ("My name is {X}.", "Nice to meet you, {X}!"),
        ("My favourite colour is teal.", "That is a nice colour."),
        ("What is my name?", "Your name is {X}."),
    ]),
]


def filled(text, own, x, y):
    names = {"own": own, "x": x, "y": y, "X": x.capitalize(), "Y": y.capitalize()}
    for key, word in names.items():
        text = text.replace("{" + key + "}", word)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--penalty", type=float, default=1.0, help="repetition penalty")
    args = parser.parse_args()
    config, params, vocabulary, own = load(args.model)
    world = World(30_000_001, own, held_out=True)
    records = []
    for title, system, turns in SCRIPTS:
        for _ in range(args.times):
            words = own, world.made_up(), world.made_up()
            records.append({
                "title": title,
                "system": filled(system, *words),
                "turns": [{"user": filled(u, *words), "answer": filled(a, *words)} for u, a in turns],
            })
    talks = [Talk(r, vocabulary) for r in records]
    hold(config, params, talks, 512, args.penalty)
    tally = {}
    for record, talk in zip(records, talks):
        rights = tally.setdefault(record["title"], [])
        for turn, answer in zip(record["turns"], talk.answers + [""] * len(record["turns"])):
            rights.append(turn["answer"] == answer)
            if not rights[-1]:
                print("wrong:", repr(turn["user"]), "->", repr(answer), "not", repr(turn["answer"]))
    print(f"{args.model.name}: answers exactly as expected, {args.times} times each script")
    for title, rights in tally.items():
        print(f"{title:48} {sum(rights):5} of {len(rights):5}")


if __name__ == "__main__":
    main()
