"""The source of Prefix-RFT: prompt, a demonstration cut off at any token, then the policy goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import continue_or_give
from posttrain.rollouts.hints import HintLaw
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout


@dataclass(frozen=True)
class HintedByToken:
    """A group of completions per example that all start from the same leading tokens of one demonstration.

    Where :class:`posttrain.rollouts.hinted.Hinted` cuts between chunks and before the answer, this hint may end
    anywhere. It is a slice of the demonstration's own tokens, so nothing is tokenised twice, and end-of-sequence is
    never in it. If the law gives every token, nothing is left to sample: the group is the demonstration, ended.

    Args:
        rollouts_per_prompt: completions in a group.
        law: how many of a demonstration's tokens are given, drawn anew for each example and step. Where an example has
            several demonstrations, one of them is drawn as well, each as likely as the others.
    """

    rollouts_per_prompt: int
    law: HintLaw
    provides = frozenset[str]()

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
        """Draw a hint for each example and sample one group from it."""
        drawn = [self._draw(example, text, now) for example in examples]
        hints, complete = [hint for hint, _ in drawn], [fraction == 1 for _, fraction in drawn]
        labels = [{"hint_fraction": fraction} for _, fraction in drawn]
        return continue_or_give(
            examples, hints, labels, complete, self.rollouts_per_prompt, engine, text, sampling, now
        )

    def _draw(self, example: Example, text: Text, now: Progress) -> tuple[Tensor, float]:
        """A hint, and which fraction of its demonstration it is (of an empty demonstration: none)."""
        numbers = now.generator("hint", example.id)
        chosen = int(torch.randint(len(example.demonstrations), (1,), generator=numbers))
        tokens, _ = text.demonstration(example.demonstrations[chosen])
        count = self.law(len(tokens), now, numbers)
        return tokens[:count], count / max(1, len(tokens))
