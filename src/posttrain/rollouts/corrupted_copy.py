"""The source of masked fine-tuning: a demonstration is written again after a corrupted copy of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.rollouts.corruption import Masked, OneMasked, Replaced
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Example, Progress, Rollout


@dataclass(frozen=True)
class CorruptedCopy:
    """Prompt, introduction, corrupted copy, instruction; then the demonstration, given.

    The demonstration is tokenised once: the copy is the same tokens, some of them replaced. Everything before the
    demonstration has origin PROMPT, and the rollout's example carries it as its prompt, so that a record of the rollout
    shows what the model read. The copy is corrupted anew in every step.

    Args:
        corruption: how the copy is corrupted.
        introduction: between the example's prompt and the copy.
        instruction: between the copy and the demonstration.
        plain: the probability that a demonstration stands without introduction, copy and instruction, 0 … 1.
    """

    corruption: Masked | OneMasked | Replaced = Masked()
    introduction: str = ""
    instruction: str = "\nThe text above has gaps. The whole text is:\n"
    plain: float = 0.0
    provides = frozenset[str]()

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0 <= self.plain <= 1:
            raise ValueError(f"plain is a probability, between 0 and 1, got {self.plain}")

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group per example with one rollout per demonstration; the engine is not used.

        Raises:
            UserError: the tokenizer cannot write the mask, the introduction or the instruction.
        """
        around = text.encode(self.introduction), text.encode(self.instruction)
        return [
            tuple(self._rollout(e, d, index, around, text, now) for index, d in enumerate(e.demonstrations))
            for e in examples
        ]

    def _rollout(
        self,
        example: Example,
        demonstration: Demonstration,
        index: int,
        around: tuple[Tensor, Tensor],
        text: Text,
        now: Progress,
    ) -> Rollout:
        numbers = now.generator("copy", example.id, index)
        target, prompt = text.demonstration(demonstration)[0], text.encode(example.prompt)
        written = torch.cat([target, torch.tensor([text.end])])
        if float(torch.rand(1, generator=numbers)) < self.plain:
            return given(example, text, prompt, written, {"hint_fraction": 1.0})
        copy = self.corruption(target, text, now, numbers)
        context = torch.cat([prompt, around[0], copy, around[1]])
        shown = dataclasses.replace(example, prompt=text.verbatim(context))
        changed = int((copy != target).sum()) / max(1, len(target))
        return given(shown, text, context, written, {"hint_fraction": 1.0, "corrupted_fraction": changed})
