"""Reverse-curriculum reinforcement: answers start from uniformly chosen points of a demonstration.

Paper: Training Large Language Models for Reasoning through Reverse Curriculum Reinforcement Learning (Xi et al., 2024).
arXiv: 2402.05808
Axes: source

The given part is a prompt and carries no loss. This is the form that UFT compares with (2505.16984, Section 5): the
start is uniform over the 0 … parts cut points of the demonstration for the whole training, and GRPO takes the place of
the original's PPO with a critic and its partial reward of 0.2.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import UniformHints
from posttrain.stage import Problems
from posttrain.stages import hinted
from posttrain.stages.reinforced import Reinforcement


def recipe(
    problems: Problems, *, steps: int = 500, most_parts: int = 5, reinforcement: Reinforcement = Reinforcement()
) -> Recipe:
    """One stage of ``steps`` collections; ``most_parts`` cuts a demonstration (5)."""
    source = Hinted(reinforcement.rollouts_per_prompt, UniformHints(), most_parts)
    return Recipe((hinted.stage(problems, steps, source, reinforcement, likelihood=0.0),))
