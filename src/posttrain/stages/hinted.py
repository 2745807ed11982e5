"""Answers continued from hints: what is sampled is reinforced, and the hint may be imitated at the same time."""

from __future__ import annotations

from posttrain.batching import PerConstant, PerSequence, PerToken
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.rollouts.hinted import Hinted
from posttrain.stage import Problems, Stage
from posttrain.stages import reinforced
from posttrain.stages.reinforced import Reinforcement
from posttrain.types import Origin


def stage(
    problems: Problems,
    steps: int,
    source: Hinted,
    reinforcement: Reinforcement,
    likelihood: float,
    share: PerToken | PerSequence | PerConstant = PerToken(),
) -> Stage:
    """The reinforced stage over hints.

    Args:
        problems: every example needs a demonstration, which hints are made of.
        steps: length in collections.
        source: which hints, and how many answers continue each.
        reinforcement: everything about the sampled part.
        likelihood: coefficient of the hint's log-likelihood; 0 leaves the term out.
        share: its normaliser.
    """
    problems.need_demonstrations(least_chunks=1)
    imitated = Term("hint likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), share, likelihood)
    return reinforced.stage(problems, steps, reinforcement, source, (imitated,) if likelihood else ())
