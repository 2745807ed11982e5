"""Staged hints: the whole solution first, one part fewer after each span of steps.

Paper: UFT: Unifying Supervised and Reinforcement Fine-Tuning (Liu, Farina, Ozdaglar, 2025), the "stage" baseline.
arXiv: 2505.16984
Axes: source, schedule, objective

The number of parts given is the same for all prompts and falls by one every ``hinted // (parts + 1)`` steps. The
released code keeps the hint likelihood at 0.001 in this arm, and so does the default here; ``likelihood=0`` is the
curriculum alone.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import StagedHints
from posttrain.stage import Problems
from posttrain.stages import hinted
from posttrain.stages.reinforced import Reinforcement


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    hints: StagedHints = StagedHints(),
    most_parts: int = 5,
    likelihood: float = 0.001,
    reinforcement: Reinforcement = Reinforcement(),
) -> Recipe:
    """One stage of ``steps`` collections; ``hints.hinted`` is 0.6 of the run unless given in steps."""
    source = Hinted(reinforcement.rollouts_per_prompt, hints, most_parts)
    return Recipe((hinted.stage(problems, steps, source, reinforcement, likelihood),))
