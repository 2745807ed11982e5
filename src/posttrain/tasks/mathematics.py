"""Checking answers to questions of MATH, GSM8K and their like. There is no generator: the data come from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from posttrain.rewards.failure import Judging
from posttrain.tasks.answers import Extraction, LastMatch, missing
from posttrain.tasks.equivalence import Equivalence, SameMathematics
from posttrain.types import Example, Verdict


@dataclass(frozen=True)
class Mathematics:
    """1.0 for an answer equivalent to the right one, 0.1 for another answer, 0.0 for none.

    Args:
        equivalent: when two answers count as the same. ``SameMathematics()`` needs math-verify, ``SameWriting()`` and
            ``SameNumber()`` do not.
        extraction: where the answer is looked for; ``LastLine()`` is the rule of UFT's released code.
    """

    name: ClassVar[str] = "mathematics"
    equivalent: Equivalence = field(default_factory=SameMathematics)
    extraction: Extraction = field(default_factory=LastMatch)

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge the extracted answer; ``example.answer`` is the right one as text.

        Returns:
            A verdict without score if the comparison had to be stopped.

        Raises:
            VerifierError: the comparison failed; the message shows the example.
        """
        text = self.extraction(response)
        if text is None:
            return missing()
        with Judging(example, response):
            return self.equivalent(text, example.answer)
