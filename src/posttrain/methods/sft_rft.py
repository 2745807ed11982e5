"""Supervised, then reinforced: the two-stage recipe that most post-training follows.

Paper: UFT: Unifying Supervised and Reinforcement Fine-Tuning (Liu, Farina, Ozdaglar, 2025), the "SFT-RFT" baseline.
arXiv: 2505.16984
Axes: recipe

The reinforced stage starts from the supervised weights, and they are its KL reference. It gets ``steps`` collections,
exactly as many as ``rft``; the supervised updates come on top and are reported beside it as trained tokens.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems
from posttrain.stages import reinforced, supervised
from posttrain.stages.reinforced import Reinforcement
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    supervised_steps: int | None = None,
    supervision: Supervision = Supervision(),
    reinforcement: Reinforcement = Reinforcement(),
) -> Recipe:
    """Two stages.

    Args:
        problems: the training problems.
        steps: collections of the reinforced stage (500).
        supervised_steps: updates of the supervised stage; ``None``: as many as ``steps``.
        supervision: of the first stage.
        reinforcement: of the second.
    """
    first = supervised.stage(problems, steps if supervised_steps is None else supervised_steps, supervision)
    second = reinforced.stage(problems, steps, reinforcement, OnPolicy(reinforcement.rollouts_per_prompt))
    return Recipe((first, second))
