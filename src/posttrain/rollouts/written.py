"""The source of pretraining: documents that a generator writes, every token of them to be learnt."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout


@dataclass(frozen=True)
class Written:
    """One fresh document per example of the stream; the examples only say how many.

    Args:
        write: (random numbers) -> the text of one document.
    """

    write: Callable[[random.Random], str]
    provides = frozenset[str]()

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group of one document each, different in every step, the same for the same seed."""
        numbers = random.Random(now.key("documents"))
        nothing, end = torch.empty(0, dtype=torch.long), torch.tensor([text.end])
        return [
            (given(example, text, nothing, torch.cat([text.encode(self.write(numbers)), end]), {}),)
            for example in examples
        ]
