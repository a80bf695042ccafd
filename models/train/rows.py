"""Training rows: dialogues as arrays of tokens, positions and loss weights.

What it is for: cut dialogues to rows of a fixed length, put the loss on the
answers alone, spread positions over random gaps (so that short rows teach
long distances) and drop oldest turns (as a context shift does).

What it deliberately does not know: the network, the optimiser, the schedule.
"""

import numpy as np

GAP_SPAN = 1900
SHIFT_SHARE = 0.12
SWAP_SHARE = 0.15
GAP_SHARE = 0.5
RECALLED = ("Your name is ", "Your favourite colour is ", "The secret word is ", '{"')
RECALL_WEIGHT = 3


def worth(turn):
    """The loss weight of an answer: what must be recalled counts more than what is merely long."""
    return 4 if turn.value or turn.kind == "json" else 1


def shifted(rng, dialogue):
    """The dialogue without its oldest turns.

    Gives the turns and, for each, whether its answer can still be known from
    what is left. Sometimes the cut falls inside the first turn that is left.
    """
    turns = dialogue.turns
    cut = rng.randint(1, max(1, len(turns) // 2)) if len(turns) > 2 else 0
    seen, kept = dialogue.system, []
    for n, turn in enumerate(turns[cut:]):
        user, fair = turn.user, True
        if n == 0 and cut and rng.random() < 0.3:
            user, fair = user[rng.randint(0, len(user) - 1):], False
        seen += user
        if turn.value and turn.value not in seen:
            fair = False
        seen += turn.answer
        kept.append((user, turn.answer, worth(turn) if fair else 0))
    return kept


def swapped(world, dialogue):
    """The dialogue as if another model had spoken its first part.

    Its answers to who it is stand there with another name and are no example to learn from; asked again, the model
    says its own.
    """
    rng = world.rng
    turns = [(turn.user, turn.answer, worth(turn), turn) for turn in dialogue.turns]
    own = next((t.expect[0] for t in dialogue.turns if t.kind in ("own_name", "greet")), None)
    if own is None:
        own = None if "name is" in dialogue.system or "are" in dialogue.system else world.own_name
    if own is None:
        return [(user, answer, fair) for user, answer, fair, _ in turns]
    other = world.name()
    cut = rng.randint(0, len(turns))
    first = [
        (user, answer.replace(own, other), 0) if turn.kind in ("own_name", "greet") else (user, answer, fair)
        for user, answer, fair, turn in turns[:cut]
    ]
    last = [(user, answer, fair) for user, answer, fair, _ in turns[cut:]]
    before, after = world.own_turn(own), world.own_turn(own)
    first.insert(rng.randint(0, len(first)), (before.user, before.answer.replace(own, other), 0))
    last.insert(rng.randint(0, min(3, len(last))), (after.user, after.answer, worth(after)))
    return first + last


def emphasis(answer):
    """Recalled facts are few tokens beside repeated phrases: they weigh more."""
    return RECALL_WEIGHT if answer.startswith(RECALLED) else 1


def row(world, vocabulary, length):
    """One row: tokens, positions and weights, each of `length`."""
    rng = world.rng
    dialogue = world.dialogue(length, vocabulary.cost)
    if rng.random() < SHIFT_SHARE:
        turns = shifted(rng, dialogue)
    elif rng.random() < SWAP_SHARE:
        turns = swapped(world, dialogue)
    else:
        turns = [(turn.user, turn.answer, worth(turn)) for turn in dialogue.turns]
    tokens, weights, borders = [], [], []
    if dialogue.system:
        tokens += vocabulary.message("system", dialogue.system)
        weights += [0] * len(tokens)
    for user, answer, weight in turns:
        borders.append(len(tokens))
        head = vocabulary.message("user", user) + vocabulary.opening()
        body = vocabulary.cached(answer) + [vocabulary.end]
        tokens += head + body + vocabulary.newline
        weights += [0] * len(head) + [weight] * len(body) + [0] * len(vocabulary.newline)
    tokens, weights = tokens[:length], weights[:length]
    spare = length - len(tokens)
    positions = np.arange(length)
    if borders and rng.random() < GAP_SHARE:
        span = rng.randint(0, max(0, GAP_SPAN - length))
        for border in rng.sample(borders, min(len(borders), rng.randint(1, 3))):
            step = rng.randint(0, span)
            positions[border:] += step
            span -= step
    return tokens + [vocabulary.end] * spare, positions, weights + [0] * spare


def batch(world, vocabulary, rows, length):
    parts = [row(world, vocabulary, length) for _ in range(rows)]
    return (
        np.array([p[0] for p in parts], np.int32),
        np.array([p[1] for p in parts], np.float32),
        np.array([p[2] for p in parts], np.float32),
    )
