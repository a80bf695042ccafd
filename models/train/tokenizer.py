"""The byte-level BPE vocabularies of the pocket models.

What it is for: train a vocabulary of a given size on the small world, load
it, and render dialogues as ChatML tokens exactly as a chat engine does.

What it deliberately does not know: the network, training, GGUF.

Merges are learnt on words without their leading space first; only then do
common whole words get a merge with the space. So a made-up name is cut into
the same pieces after a space, after a quote and at the start of a text, and
a small model can copy it from one place to the other.
"""

import json
from collections import Counter
from pathlib import Path

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import world as w

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
SPACE = "\u0120"


def corpus(seed=1, dialogues=3000):
    """Sample text of the world: the words of fixed phrasings weigh most."""
    world = w.World(seed, "Pip")
    for _ in range(dialogues):
        dialogue = world.dialogue(400, lambda user, answer: 12 + len(user + answer) // 3)
        for turn in dialogue.turns:
            if turn.kind in ("noise", "repeat"):
                yield from (world.made_up() for _ in range(3))
            else:
                yield turn.user
                yield turn.answer
        yield dialogue.system or "You are a helpful assistant."
        yield "user\nassistant\nsystem"


def train(size, path):
    """Learn a vocabulary of `size` tokens and write it as JSON."""
    lines = list(corpus())
    counts = Counter(
        word for line in lines for word in line.split(" ")[1:] if word
    )
    stems = [line.replace(" ", "\n") for line in lines]
    spaced = int((size - 259) * 0.2)
    trainer = trainers.BpeTrainer(
        vocab_size=size - spaced - len(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.train_from_iterator(stems, trainer)
    state = json.loads(learner.to_str())["model"]
    vocab = sorted(state["vocab"], key=state["vocab"].get)
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in state["merges"]]
    whole = [t for t in vocab if len(t) > 1 or t.isalnum()]
    bare = Counter()
    for word, count in counts.items():
        bare[word.rstrip(".,!?:;")] += count
    whole.sort(key=lambda t: -bare[t])
    for token in [t for t in whole if bare[t]][:spaced]:
        merges.append((SPACE, token))
        vocab.append(SPACE + token)
    tokens = vocab + SPECIALS
    Path(path).write_text(
        json.dumps({"tokens": tokens, "merges": [" ".join(m) for m in merges]}, ensure_ascii=True)
    )


class Vocabulary:
    """Text to token numbers and back."""

    def __init__(self, path):
        state = json.loads(Path(path).read_text())
        self.set_up(state["tokens"], state["merges"])

    @classmethod
    def of_gguf(cls, path):
        """The vocabulary inside a GGUF file."""
        fields = gguf.GGUFReader(path).fields
        vocabulary = cls.__new__(cls)
        vocabulary.set_up(
            fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.merges"].contents()
        )
        return vocabulary

    def set_up(self, tokens, merges):
        self.tokens, self.merges = tokens, merges
        numbers = {token: i for i, token in enumerate(self.tokens)}
        self.core = Tokenizer(
            models.BPE(
                {t: i for t, i in numbers.items() if t not in SPECIALS},
                [tuple(m.split(" ")) for m in self.merges],
            )
        )
        self.core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.core.decoder = decoders.ByteLevel()
        self.bos, self.start, self.end = (numbers[s] for s in SPECIALS)
        self.newline = self.encode("\n")
        self.roles = {r: self.encode(r + "\n") for r in ("system", "user", "assistant")}
        self.cache = {}

    def __len__(self):
        return len(self.tokens)

    def pieces(self):
        """Whole-letter tokens, for made-up words of any pieces."""
        return [t for t in self.tokens if t.isascii() and t.isalpha() and 1 < len(t) < 6]

    def encode(self, text):
        return self.core.encode(text, add_special_tokens=False).ids

    def decode(self, numbers):
        return self.core.decode([n for n in numbers if n < self.bos])

    def cached(self, text):
        if len(text) > 40:
            return self.encode(text)
        if text not in self.cache:
            if len(self.cache) > 20000:
                self.cache.clear()
            self.cache[text] = self.encode(text)
        return self.cache[text]

    def message(self, role, content):
        return [self.start, *self.roles[role], *self.cached(content), self.end, *self.newline]

    def opening(self):
        """What stands before an answer."""
        return [self.start, *self.roles["assistant"]]

    def cost(self, user, answer):
        """Tokens of one turn; a system prompt is a turn without an answer."""
        if not answer:
            return len(self.message("system", user))
        return len(self.message("user", user)) + len(self.message("assistant", answer))
