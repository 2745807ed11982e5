"""The source of supervised fine-tuning: demonstrations as they stand, nothing sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout


@dataclass(frozen=True)
class Demonstrations:
    """One rollout per demonstration of each example, end-of-sequence appended and trained on.

    Args:
        most: at most this many demonstrations of an example, the first ones; ``None`` takes all.
    """

    most: int | None = None
    provides = frozenset[str]()

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group per example; the engine is not used."""
        return [tuple(_rollouts(example, text, self.most)) for example in examples]


def _rollouts(example: Example, text: Text, most: int | None) -> list[Rollout]:
    prompt, end = text.encode(example.prompt), torch.tensor([text.end])
    return [
        given(example, text, prompt, torch.cat([text.demonstration(d)[0], end]), {"hint_fraction": 1.0})
        for d in example.demonstrations[:most]
    ]
