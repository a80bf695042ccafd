"""The two pocket models: their names, shapes and vocabularies.

What it is for: the one place that says what is trained and exported.

What it deliberately does not know: anything about how.
"""

from dataclasses import dataclass

from model import Config


@dataclass(frozen=True)
class Spec:
    own_name: str
    config: Config


MODELS = {
    "pocket-a": Spec("Pip", Config(vocab=640, width=128, layers=4, heads=4, hidden=256, rope_base=50000.0)),
    "pocket-b": Spec("Momo", Config(vocab=768, width=160, layers=4, heads=5, hidden=320, rope_base=100000.0)),
}
