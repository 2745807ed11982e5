"""The reversal curse: whether a model that has read ``A r B`` knows what is ``r'`` of B, by how it has read it.

``python claims/reversal.py --out FOLDER`` trains tiny models from random weights on facts of three tokens. Every
relation is a permutation of the entities and has an inverse of its own. Most facts are read in both directions, some
forward alone. Arms differ in how facts are read: plainly, or half of the time after a copy with one token masked.
Questions are plain: ``B r'``, no copy and no mask. Learning rates are chosen per arm with other facts, those of a seed
of their own.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from claim import MEASURED_FILE
from judged import SEEDS, TUNING_SEED, Tried, chosen
from measures import Outcome, Pairs
from measuring import entry

from posttrain.batching import PerToken
from posttrain.durations import Steps
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loop import start, train
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.pretraining.architecture import Shape, new_model, number_tokenizer
from posttrain.protocols import Source, Term
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.rollouts.corruption import OneMasked, Replaced
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.runs import folder
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling
from posttrain.schedules import Cosine, Warmup
from posttrain.stage import AdamW, Stage, Stream
from posttrain.text import Text
from posttrain.types import Demonstration, Example, Origin

ENTITIES = "".join(chr(0x4E00 + at) for at in range(250))
FORWARD, INVERSE = "abcdefgh", "ABCDEFGH"
MASK, SEPARATOR = "^", "|"
FORWARD_ONLY = 100
SHAPE = Shape(hidden=128, layers=2, heads=4, key_value_heads=4, feed_forward=512, context=16, initializer_range=0.08)
RUNTIME = local_runtime("float32")
BOTH_WAYS_PER_UPDATE, FORWARD_ONLY_PER_UPDATE, UPDATES = 248, 8, 600
RATES = ("3e-3", "1e-3")
"""Of equals the first is chosen: where a rate cannot be told from another, arms have the same."""

PLAIN, LONGER, MFT = "plain", "plain, twice the updates", "MFT"
NOISE, SUBJECT_SHOWN = "random tokens before", "the first token never masked"
OTHERS_PLAIN = "MFT of the facts read forward alone"


def copied(corruption: OneMasked | Replaced) -> CorruptedCopy:
    """Half of the time after a corrupted copy, as the questions are plain."""
    return CorruptedCopy(corruption, instruction=SEPARATOR, plain=0.5)


@dataclass(frozen=True)
class Arm:
    """How facts are read.

    Args:
        forward: those that are read forward alone.
        both_ways: all others; ``None``: in the same way.
        updates: of the whole training.
    """

    forward: Source
    both_ways: Source | None = None
    updates: int = UPDATES


ARMS: Mapping[str, Arm] = {
    PLAIN: Arm(Demonstrations()),
    LONGER: Arm(Demonstrations(), updates=2 * UPDATES),
    MFT: Arm(copied(OneMasked(mask=MASK))),
    NOISE: Arm(copied(Replaced())),
    SUBJECT_SHOWN: Arm(copied(OneMasked(first=1, mask=MASK))),
    OTHERS_PLAIN: Arm(copied(OneMasked(mask=MASK)), both_ways=Demonstrations()),
}
CLAIMED: Pairs = tuple((MFT, other) for other in ARMS if other != MFT)
BACKWARD = Outcome("held-out facts, asked backward", "points", "more", CLAIMED)
ALONG = Outcome("the same facts, asked forward", "points", "more")


@dataclass(frozen=True)
class Facts:
    """What there is to know.

    Args:
        read_both_ways: texts of three tokens, both directions of each.
        read_forward: texts that nobody reads backward.
    """

    read_both_ways: tuple[str, ...]
    read_forward: tuple[str, ...]


def facts(seed: int) -> Facts:
    """A permutation of the entities for every relation."""
    numbers = random.Random(f"reversal/{seed}")
    known = [
        (subject + relation + thing, thing + inverse + subject)
        for relation, inverse in zip(FORWARD, INVERSE)
        for subject, thing in zip(ENTITIES, numbers.sample(ENTITIES, len(ENTITIES)))
    ]
    numbers.shuffle(known)
    both = tuple(text for pair in known[FORWARD_ONLY:] for text in pair)
    return Facts(both, tuple(forward for forward, _ in known[:FORWARD_ONLY]))


def stage(known: Facts, arm: Arm, rate: str) -> Stage:
    """One supervised stage with a stream of each kind."""
    both, forward = (
        tuple(Example(text, "", demonstrations=(Demonstration((text,)),)) for text in texts)
        for texts in (known.read_both_ways, known.read_forward)
    )
    peak = float(rate)
    return Stage(
        name="reading",
        streams=(
            Stream("both ways", both, arm.both_ways or arm.forward, BOTH_WAYS_PER_UPDATE),
            Stream("forward", forward, arm.forward, FORWARD_ONLY_PER_UPDATE),
        ),
        terms=(Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), PerToken()),),
        steps=arm.updates,
        learning_rate=Warmup(Cosine(peak, peak / 10), Steps(50)),
        optimiser=AdamW((0.9, 0.98), 1e-8, 0.01, 1.0),
    )


def reader(name: str, seed: int, rate: str) -> Policy:
    """A model that has read the facts of its seed."""
    text = Text(number_tokenizer(ENTITIES + FORWARD + INVERSE + MASK + SEPARATOR))
    model = new_model(SHAPE, text.vocabulary_size, text.end, seed)
    choose_attention(model)
    policy = Policy(model, text)
    train(start(stage(facts(seed), ARMS[name], rate), policy, seed), RUNTIME, lambda record: True)
    return policy


def asked(policy: Policy, texts: tuple[str, ...]) -> list[float]:
    """100 for each text whose last token the model says after the first two, else 0."""
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    prompts = [policy.text.encode(text[:2]) for text in texts]
    groups = engine.generate(prompts, Sampling(0.0, 1), 1, torch.Generator())
    said = [policy.text.decode(group[0].tokens) for group in groups]
    return [100.0 * (answer == text[2]) for answer, text in zip(said, texts)]


def backward(known: Facts) -> tuple[str, ...]:
    """What nobody has read."""
    inverse = dict(zip(FORWARD, INVERSE))
    return tuple(thing + inverse[relation] + subject for subject, relation, thing in known.read_forward)


def measure(out: Path) -> None:
    """Choose rates, train, ask, write."""
    tried: Tried = []
    found: dict[Outcome, dict[str, list[list[float]]]] = {BACKWARD: {}, ALONG: {}}
    for name in ARMS:
        known = facts(TUNING_SEED)
        accuracies = {rate: asked(reader(name, TUNING_SEED, rate), backward(known)) for rate in RATES}
        rate = chosen(f"{name}, by rate", accuracies, tried)
        for seed in SEEDS:
            known, policy = facts(seed), reader(name, seed, rate)
            found[BACKWARD].setdefault(name, []).append(asked(policy, backward(known)))
            found[ALONG].setdefault(name, []).append(asked(policy, known.read_forward))
    outcomes = [entry(outcome, values, None) for outcome, values in found.items()]
    out.mkdir(parents=True, exist_ok=True)
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes, "tried": tried})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
