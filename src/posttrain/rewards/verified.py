"""The reward that asks a verifier, rollout by rollout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from posttrain.rewards.failure import Judging, failure
from posttrain.types import Example, Rollout, Verdict


@dataclass(frozen=True)
class Verified:
    """Each rollout's verdict comes from ``verify(response, example)``, whatever the rest of the group did.

    Args:
        verify: e.g. the method of a task. It may return a verdict without score (a timeout); it must not raise. Several
            threads ask it at once.
    """

    verify: Callable[[str, Example], Verdict]

    def __call__(self, group: Sequence[Rollout]) -> tuple[Verdict, ...]:
        """One verdict per rollout, in order.

        Raises:
            VerifierError: the verifier raised, or its score is not a finite number; the message shows the example.
        """
        return tuple(self._judge(rollout.response, rollout.example) for rollout in group)

    def _judge(self, response: str, example: Example) -> Verdict:
        with Judging(example, response):
            verdict = self.verify(response, example)
        if verdict.score is not None and not math.isfinite(verdict.score):
            raise failure(example, response, f"the score is {verdict.score}")
        return verdict
