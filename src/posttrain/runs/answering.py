"""Answering many problems, in batches, so that a person sees how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from posttrain.evaluation.accuracy import Answer, answer_all
from posttrain.protocols import Engine
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Verify

ANSWERS_AT_ONCE = 512
"""Answers between two movements of the bar: as many as the engine writes at a time, so that nothing is slowed down."""


def answer_in_batches(
    examples: Sequence[Example],
    verify: Verify,
    engine: Engine,
    text: Text,
    sampling: Sampling,
    samples: int,
    seed: int,
    on_progress: Callable[[int], None],
) -> list[list[Answer]]:
    """As :func:`posttrain.evaluation.accuracy.answer_all`, telling ``on_progress`` of the problems answered so far."""
    rows: list[list[Answer]] = []
    size = max(1, ANSWERS_AT_ONCE // samples)
    for at in range(0, len(examples), size):
        rows += answer_all(examples[at : at + size], verify, engine, text, sampling, samples, seed + at)
        on_progress(len(rows))
    return rows


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 … up to ``most``: the k of pass@k that ``most`` samples allow."""
    return [2**exponent for exponent in range(most.bit_length())]
