"""What an answer earns for being wrong in the right form: what the verifier gave it, or nothing.

Source: UFT's verifiers give 0.1 for a wrong answer in an answer block (arXiv 2505.16984, released code); outcome
rewards of 0 and 1 are those of DeepSeekMath's and most later work.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.protocols import Reward
from posttrain.types import FULL_SCORE, Rollout, Verdict


@dataclass(frozen=True)
class AsJudged:
    """Scores as the verifier gave them, levels for form included."""

    def of(self, reward: Reward) -> Reward:
        """The reward itself."""
        return reward


@dataclass(frozen=True)
class RightOnly:
    """1 for full score, 0 for everything else; for rewards whose right answers score 1.0, as those of verifiers do.

    Where right answers are rarer than well-formed ones, a level for form is the larger part of a group's variance and
    is learnt first, by whatever text is easiest to write inside an answer block.
    """

    def of(self, reward: Reward) -> Reward:
        """The reward with its lower levels taken away."""
        return RightOrNothing(reward)


@dataclass(frozen=True, eq=False)
class RightOrNothing:
    """Another reward's verdicts, of which only full scores count.

    Args:
        reward: judges the answers. What it could not judge stays without score.
    """

    reward: Reward

    def __call__(self, group: Sequence[Rollout]) -> tuple[Verdict, ...]:
        """One verdict per rollout, in order."""
        return tuple(_counted(verdict) for verdict in self.reward(group))


def _counted(verdict: Verdict) -> Verdict:
    if verdict.score is None:
        return verdict
    return dataclasses.replace(verdict, score=FULL_SCORE if verdict.correct else 0.0)
