"""The source of reinforcement fine-tuning: everything after the prompt is sampled by the policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import continue_all
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout


@dataclass(frozen=True)
class OnPolicy:
    """A group of ``rollouts_per_prompt`` completions of each prompt."""

    rollouts_per_prompt: int
    provides = frozenset[str]()

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
        """Sample one group per example."""
        nothing = torch.empty(0, dtype=torch.long)
        count = len(examples)
        labels = [{"hint_fraction": 0.0}] * count
        return continue_all(examples, [nothing] * count, labels, self.rollouts_per_prompt, engine, text, sampling, now)
