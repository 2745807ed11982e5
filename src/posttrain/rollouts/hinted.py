"""The source of UFT, R3 and staged training: prompt, a part of a demonstration, then the policy goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import continue_or_give
from posttrain.rollouts.hints import HintLaw, cut_points
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout


@dataclass(frozen=True)
class Hinted:
    """A group of completions per example that all start from the same hint.

    Args:
        rollouts_per_prompt: completions in a group.
        law: how many parts are given, drawn anew for each example and step, in the loop.
        most_parts: demonstrations are cut into at most this many parts (UFT: 5).
        hint_includes_answer: whether the answer block counts as the last chunk. The paper's hints never contain it;
            with it, a full hint leaves nothing to sample and the group is the demonstration itself.
    """

    rollouts_per_prompt: int
    law: HintLaw
    most_parts: int = 5
    hint_includes_answer: bool = False
    provides = frozenset[str]()

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
        """Draw a hint for each example and sample one group from it; the first demonstration is the one used."""
        hints, labels = zip(*(self._draw(example, text, now) for example in examples))
        complete = [label["hint_complete"] == 1.0 for label in labels]
        return continue_or_give(
            examples, hints, labels, complete, self.rollouts_per_prompt, engine, text, sampling, now
        )

    def _draw(self, example: Example, text: Text, now: Progress) -> tuple[Tensor, dict[str, float]]:
        demonstration = example.demonstrations[0]
        tokens, boundaries = text.demonstration(demonstration)
        chunks = len(demonstration.chunks) + int(self.hint_includes_answer)
        points = cut_points(chunks, self.most_parts)
        parts = len(points) - 1
        drawn = self.law(parts, now, now.generator("hint", example.id))
        hint = tokens[: boundaries[points[drawn]]]
        complete = self.hint_includes_answer and drawn == parts
        return hint, {"hint_fraction": drawn / parts, "hint_parts": float(parts), "hint_complete": float(complete)}
