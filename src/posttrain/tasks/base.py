"""What every task offers: examples of a split, and a verdict on a response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from posttrain.types import Example, Split, Verdict


class Task(Protocol):
    """A source of problems that can be checked."""

    @property
    def name(self) -> str:
        """What the command line calls the task, e.g. ``"countdown"``."""
        ...

    def examples(self, split: Split, count: int, seed: int) -> Sequence[Example]:
        """Problems of one split, without duplicates, the same for the same arguments.

        Args:
            split: the three splits never share a problem, whatever the seeds and counts.
            count: how many, at least 0. A smaller count gives the first ones of a larger count.
            seed: any integer.

        Raises:
            UserError: the task has fewer than ``count`` problems in this split.
        """
        ...

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge the decoded text after the prompt (hint and continuation) by its answer, never by its reasoning.

        Returns:
            Score 1.0 for a right answer, 0.1 for an answer that is wrong, 0.0 when none was found, ``None`` when it
            could not be judged. Any text is accepted; an exception is a bug of the verifier.
        """
        ...
