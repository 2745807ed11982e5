"""The source of learning from preferences: two answers to a prompt, of which one is preferred.

An example holds its pair as text: the first demonstration is preferred to ``facts["rejected"]``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posttrain.errors import UserError
from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import REJECTED, Demonstration, Example, Progress, Rollout


@dataclass(frozen=True)
class Pairs:
    """A group of two per example, the preferred answer first; nothing is sampled.

    Every token carries the signal ``preference``: 1 in the preferred answer, -1 in the rejected one. Both answers end
    with the end-of-sequence token.
    """

    provides = frozenset({"preference"})

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group per example; the engine is not used.

        Raises:
            UserError: an example without a pair.
        """
        need_pairs(examples)
        return [
            (
                _answer(example, text, example.demonstrations[0], 1.0),
                _answer(example, text, Demonstration((example.facts[REJECTED],)), -1.0),
            )
            for example in examples
        ]


def need_pairs(examples: Sequence[Example]) -> None:
    """Refuse examples that lack one of the two answers, or whose answers are the same text.

    Raises:
        UserError: naming the first such example.
    """
    for example in examples:
        if not example.demonstrations:
            raise UserError(f"example {example.id!r} has no demonstration, which this method prefers")
        rejected = example.facts.get(REJECTED)
        if not isinstance(rejected, str) or not rejected:
            raise UserError(
                f"example {example.id!r} has no rejected answer, which this method learns to avoid; "
                f"give it one as {REJECTED!r}"
            )
        if rejected == example.demonstrations[0].text:
            raise UserError(f"example {example.id!r} rejects the answer that it prefers; give it another {REJECTED!r}")


def _answer(example: Example, text: Text, words: Demonstration, preference: float) -> Rollout:
    written = torch.cat([text.demonstration(words)[0], torch.tensor([text.end])])
    rollout = given(example, text, text.encode(example.prompt), written, {"hint_fraction": 1.0})
    return dataclasses.replace(rollout, signals={"preference": torch.full((len(rollout.tokens),), preference)})
