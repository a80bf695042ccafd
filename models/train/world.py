"""The small world: every dialogue the pocket models are trained and judged on.

What it is for: from a seed, make dialogues (an optional system prompt and
turns of user text and the one right answer) in which names, colours and
secret words are told, changed, buried under other talk and asked for.

What it deliberately does not know: tokens, networks, files. Lengths are
measured by a function the caller hands in.

Held-out dialogues use other made-up words than training: a made-up word
belongs to the held-out share when its checksum says so (`is_held_out`).
"""

import random
import zlib
from dataclasses import dataclass, field

from lexicon import (
    ADJECTIVES,
    ANSWERS,
    CODAS,
    COMMON_COLOURS,
    COMMON_NAMES,
    COMMON_WORDS,
    COUNT_FORMS,
    FACTS,
    GREETINGS,
    JSON_FORMS,
    JSON_KEYS,
    NOUNS,
    ONSETS,
    OWN_NAME,
    QUESTION_FORMS,
    RECALL,
    REPEAT_FORMS,
    SMALL_TALK,
    STATEMENTS,
    STATEMENT_FORMS,
    SYSTEM_NAMED,
    SYSTEM_PLAIN,
    TELL,
    TOPICS,
    TOPIC_FORMS,
    UNKNOWN,
    VOWELS,
)


@dataclass
class Turn:
    """One question and its right answer.

    `expect` holds the words an answer must contain, `value` the told fact the
    answer depends on (empty if none), `told` the number of the turn that last
    told it (-1: the system prompt).
    """

    user: str
    answer: str
    kind: str
    expect: list
    value: str = ""
    told: int = -2


@dataclass
class Dialogue:
    """A whole conversation; `system` may be empty."""

    system: str = ""
    turns: list = field(default_factory=list)


def is_held_out(word):
    """True for the tenth of all made-up words that training never sees."""
    return zlib.crc32(word.lower().encode()) % 10 == 0


class World:
    """Makes dialogues for a model whose name, when nobody says another, is `own_name`."""

    def __init__(self, seed, own_name, held_out=False, pieces=()):
        self.rng = random.Random(seed)
        self.own_name = own_name
        self.held_out = held_out
        self.pieces = list(pieces)

    # -- words -----------------------------------------------------------

    def made_up(self):
        """A pronounceable word, or sometimes letters in any order."""
        rng = self.rng
        while True:
            draw = rng.random()
            if draw < 0.86 or self.held_out:
                syllables = rng.choice((1, 2, 2, 2, 2, 2, 3))
                word = "".join(
                    rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS)
                    for _ in range(syllables)
                )
                if rng.random() < 0.2:
                    word = rng.choice(VOWELS) + word
            elif draw < 0.93 and self.pieces:
                word = "".join(rng.choice(self.pieces) for _ in range(rng.choice((2, 2, 3))))
            else:
                letters = "abcdefghijklmnopqrstuvwxyz"
                word = "".join(rng.choice(letters) for _ in range(rng.randint(2, 8)))
            if 3 <= len(word) <= 10 and is_held_out(word) == self.held_out:
                return word

    def name(self):
        if not self.held_out and self.rng.random() < 0.12:
            return self.rng.choice(COMMON_NAMES)
        word = self.made_up()
        if not self.held_out and self.rng.random() < 0.04:
            return word
        return word[0].upper() + word[1:]

    def colour(self):
        if self.rng.random() < 0.5:
            return self.rng.choice(COMMON_COLOURS)
        return self.made_up()

    def secret(self):
        rng = self.rng
        draw = rng.random()
        if draw < 0.15:
            return rng.choice(COMMON_WORDS + COMMON_COLOURS)
        if draw < 0.20:
            return self.made_up().upper()
        if draw < 0.25:
            return self.made_up() + str(rng.randint(0, 99))
        return self.made_up()

    def value(self, fact):
        return {"name": self.name, "colour": self.colour, "secret": self.secret}[fact]()

    def phrase(self, words):
        rng = self.rng
        out = []
        for _ in range(words):
            draw = rng.random()
            if draw < 0.5:
                out.append(rng.choice(COMMON_WORDS))
            elif draw < 0.6:
                out.append(rng.choice(COMMON_COLOURS))
            elif draw < 0.92:
                out.append(self.made_up())
            elif draw < 0.96:
                out.append(self.name())
            else:
                out.append(str(rng.randint(0, 200)))
        if rng.random() < 0.3:
            out[0] = out[0][0].upper() + out[0][1:]
        if rng.random() < 0.2 and len(out) > 2:
            out[rng.randrange(len(out) - 1)] += ","
        return " ".join(out) + rng.choice(("", "", "", ".", ".", "!", "?"))

    def noise(self):
        """Text that means nothing: the model must stay calm."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.4:
            alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?#$%&*()[]{}<>/\\|\"'+-=_~^@`"
        elif draw < 0.6:
            alphabet = "äöüßéèñçøåłžščđαβγδжзийкл中文字日本語한국어🙂🚀❤️ "
        elif draw < 0.75:
            return " ".join(self.made_up() for _ in range(rng.randint(1, 6))) + rng.choice(("", ".", "?"))
        elif draw < 0.85:
            return "".join(rng.choice(COMMON_WORDS) + " " for _ in range(rng.randint(1, 6))).strip()
        else:
            alphabet = "{}[]\":,0123456789 \n"
        text = "".join(rng.choice(alphabet) for _ in range(rng.choice((4, 12, 24, 24, 60)) - rng.randint(0, 3)))
        return text.strip() or "?"

    # -- turns -----------------------------------------------------------

    def own_turn(self, own):
        form = self.rng.choice(OWN_NAME)
        if self.rng.random() < 0.25:
            question = self.in_json(self.rng.choice(OWN_NAME[:2]))
            return Turn(question, f'{{"name": "{own}"}}', "json", [own])
        return Turn(form, f"I am {own}.", "own_name", [own])

    def in_json(self, question):
        form = self.rng.choice(JSON_FORMS)
        if not form.startswith("{}") and self.rng.random() < 0.7:
            question = question[0].lower() + question[1:]
        return form.format(question)

    def recall_turn(self, fact, known):
        """Ask for a fact; `known` is (value, turn) or None."""
        question = self.rng.choice(RECALL[fact])
        value, told = known or ("", -2)
        if self.rng.random() < 0.2:
            plain = self.rng.choice(RECALL[fact][:5])
            shown = f'"{value}"' if known else "null"
            answer = f'{{"{JSON_KEYS[fact]}": {shown}}}'
            return Turn(self.in_json(plain), answer, "json", [value or "null"], value, told)
        if not known:
            return Turn(question, UNKNOWN[fact], "unknown", ["not know"])
        return Turn(question, ANSWERS[fact].format(value), f"recall_{fact}", [value], value, told)

    def tell_turn(self, fact):
        value = self.value(fact)
        user = self.rng.choice(TELL[fact]).format(value)
        if fact == "name":
            return Turn(user, f"Nice to meet you, {value}!", "tell_name", [value], value), value
        if fact == "colour":
            return Turn(user, "That is a nice colour.", "tell_colour", ["nice colour"]), value
        return Turn(user, "I will remember it.", "tell_secret", ["remember"]), value

    def tell_two(self):
        name, colour = self.name(), self.colour()
        user = self.rng.choice((
            "My name is {} and my favourite colour is {}.",
            "My name is {}. My favourite colour is {}.",
            "I am {} and I like the colour {}.",
            "Call me {}. I like the colour {}.",
        )).format(name, colour)
        return Turn(user, f"Nice to meet you, {name}!", "tell_name", [name], name), name, colour

    def other_turn(self, own, long_phrases=False):
        """A turn that tells nothing and asks for nothing told."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.06:
            return Turn(rng.choice(GREETINGS), f"Hello! I am {own}.", "greet", [own])
        if draw < 0.14:
            return self.own_turn(own)
        if draw < (0.50 if long_phrases else 0.40):
            words = rng.randint(6, 20) if long_phrases and rng.random() < 0.6 else rng.randint(1, 8)
            phrase = self.phrase(words)
            return Turn(rng.choice(REPEAT_FORMS).format(phrase), phrase, "repeat", [phrase])
        if draw < (0.60 if long_phrases else 0.52):
            top = rng.randint(1, 12) if rng.random() < 0.6 else rng.randint(1, 20)
            numbers = " ".join(str(n) for n in range(1, top + 1))
            return Turn(rng.choice(COUNT_FORMS).format(top), numbers, "count", [numbers])
        if draw < 0.72:
            topic = rng.choice(list(TOPICS))
            return Turn(rng.choice(TOPIC_FORMS).format(topic), TOPICS[topic], "topic", [TOPICS[topic]])
        if draw < 0.76:
            topic = self.made_up()
            answer = f"I do not know much about {topic}."
            return Turn(rng.choice(TOPIC_FORMS).format(topic), answer, "topic", [topic])
        if draw < 0.86:
            questions, answer = rng.choice(SMALL_TALK)
            return Turn(rng.choice(questions), answer, "small_talk", [answer])
        if draw < 0.93:
            return self.statement()
        if draw < 0.96:
            return Turn(self.filled(QUESTION_FORMS), "I do not know.", "question", ["not know"])
        return Turn(self.noise(), "I see.", "noise", ["I see"])

    def filled(self, forms):
        """One of the forms, with a noun and then an adjective (or another noun)."""
        rng = self.rng
        noun = self.made_up() if rng.random() < 0.15 else rng.choice(NOUNS)
        form = rng.choice(forms)
        last = rng.choice(ADJECTIVES if "is {}" in form or "} {}?" in form else NOUNS)
        return form.replace("{}", noun, 1).replace("{}", last, 1)

    def statement(self):
        rng = self.rng
        count = rng.choice((1, 1, 1, 2, 3))
        parts = [
            rng.choice(STATEMENTS) if rng.random() < 0.4 else self.filled(STATEMENT_FORMS)
            for _ in range(count)
        ]
        return Turn(" ".join(parts), "I see.", "statement", ["I see"])

    # -- dialogues -------------------------------------------------------

    def system_prompt(self):
        """A system prompt, the model's name under it and the facts it holds."""
        rng = self.rng
        own, facts, parts = self.own_name, {}, []
        draw = rng.random()
        if draw < 0.45:
            own = self.name()
            parts.append(rng.choice(SYSTEM_NAMED).format(own))
        elif draw < 0.62:
            parts.append(rng.choice(SYSTEM_PLAIN))
        if rng.random() < 0.18:
            secret = self.secret()
            facts["secret"] = (secret, -1)
            parts.append(f"The secret word is {secret}.")
        if rng.random() < 0.06:
            name = self.name()
            facts["name"] = (name, -1)
            parts.append(rng.choice(("The user's name is {}.", "The user is called {}.")).format(name))
        if rng.random() < 0.1:
            rng.shuffle(parts)
        return " ".join(parts), own, facts

    def dialogue(self, budget, cost, buried=None):
        """A dialogue of at most `budget` by `cost(user, answer)`.

        Buried dialogues tell facts first, hold other talk through the middle
        and ask at the end; the others mix everything.
        """
        rng = self.rng
        if buried is None:
            buried = rng.random() < (0.6 if budget > 400 else 0.4)
        system, own, known = self.system_prompt()
        known = dict(known)
        turns = []
        left = budget - (cost(system, "") if system else 0)

        def put(turn):
            nonlocal left
            price = cost(turn.user, turn.answer)
            if price > left:
                return False
            turns.append(turn)
            left -= price
            return True

        def tell():
            nonlocal known
            if rng.random() < 0.12:
                turn, name, colour = self.tell_two()
                if put(turn):
                    turn.told = len(turns) - 1
                    known.update(name=(name, len(turns) - 1), colour=(colour, len(turns) - 1))
                return
            fact = rng.choice(FACTS)
            turn, value = self.tell_turn(fact)
            if put(turn):
                if turn.value:
                    turn.told = len(turns) - 1
                known[fact] = (value, len(turns) - 1)

        def ask():
            facts = list(known) if known and rng.random() < 0.82 else list(FACTS)
            fact = rng.choice(facts)
            return put(self.recall_turn(fact, known.get(fact)))

        if buried:
            for _ in range(rng.choice((0, 0, 1, 2))):
                put(self.other_turn(own))
            for _ in range(rng.choice((1, 2, 3)) if budget < 400 else rng.choice((2, 3, 4))):
                tell()
            reserve = min(rng.choice((60, 90, 140)), budget // 3)
            while left > reserve:
                turn = self.other_turn(own, long_phrases=budget > 300)
                if not put(turn):
                    break
            while ask():
                pass
            return Dialogue(system, turns)
        long_phrases = budget > 300 and rng.random() < 0.3
        while True:
            draw = rng.random()
            if draw < 0.25:
                before = len(turns)
                tell()
                went = len(turns) > before
            elif draw < 0.58:
                went = ask()
            else:
                went = put(self.other_turn(own, long_phrases))
            if not went:
                return Dialogue(system, turns)
