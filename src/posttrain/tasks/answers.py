"""Finding the answer in a response, and the three levels of verdict.

The levels are those of UFT (arXiv 2505.16984): right, an answer that is wrong, no answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from posttrain.types import FULL_SCORE, Verdict

RIGHT, WRONG, MISSING = FULL_SCORE, 0.1, 0.0

# An opening tag inside would mean that an earlier block was never closed: the block starts at the last opening.
ANSWER_BLOCK = r"<answer>((?:(?!<answer>).)*?)</answer>"


class Extraction(Protocol):
    """A rule that finds the answer in a response."""

    def __call__(self, response: str) -> str | None:
        """The answer without surrounding white space, or ``None`` when there is none."""
        ...


@dataclass(frozen=True)
class LastMatch:
    """The last match anywhere in the response; by default the last ``<answer>…</answer>``.

    Args:
        pattern: a regular expression with one group, the answer. A dot matches line breaks, ``^`` and ``$`` match at
            every line.
    """

    pattern: str = ANSWER_BLOCK

    def __call__(self, response: str) -> str | None:
        """The last match's group, stripped."""
        found: list[str] = re.findall(self.pattern, response, flags=re.DOTALL | re.MULTILINE)
        return found[-1].strip() if found else None


@dataclass(frozen=True)
class LastLine:
    """A rule applied to the last line only: an answer block further up does not count.

    The released code of UFT reads arithmetic and mathematics this way.

    Args:
        rule: what to look for in that line.
    """

    rule: LastMatch = field(default_factory=LastMatch)

    def __call__(self, response: str) -> str | None:
        """What ``rule`` finds after the last line break."""
        return self.rule(response.rsplit("\n", 1)[-1])


def right() -> Verdict:
    """The answer is right: 1.0."""
    return Verdict(RIGHT, "right", valid=True)


def wrong(reason: str) -> Verdict:
    """There is an answer, and it is wrong: 0.1."""
    return Verdict(WRONG, reason, valid=True)


def missing(reason: str = "no answer") -> Verdict:
    """No answer was found: 0.0."""
    return Verdict(MISSING, reason, valid=False)
