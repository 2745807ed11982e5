"""How well a scorer ranks: the share of pairs in which the preferred answer has the higher score.

Source: the accuracy that reward models are reported with, as in Understanding the Effects of RLHF on LLM Generalisation
and Diversity (arXiv 2310.06452).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.evaluation.best_of_n import Score


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt.

    Args:
        prompt: what both answer.
        preferred: the better one.
        rejected: the other.
    """

    prompt: str
    preferred: str
    rejected: str


def ranked_right(pairs: Sequence[Pair], score: Score) -> float:
    """The share of pairs in the right order, 0 … 1; equal scores count half, as if a coin decided.

    Raises:
        ValueError: there are no pairs.
    """
    if not pairs:
        raise ValueError("a share of pairs needs at least one")
    margins = [score(p.prompt, p.preferred) - score(p.prompt, p.rejected) for p in pairs]
    return sum(1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in margins) / len(margins)
