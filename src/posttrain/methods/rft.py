"""Reinforcement fine-tuning with group-relative advantages (GRPO).

Paper: DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models (Shao et al., 2024).
arXiv: 2402.03300
Axes: source, reward, credit, objective

A group of answers is sampled for each prompt; an answer's advantage is its reward relative to its group, and every
sampled token is pushed by the clipped surrogate, with a KL penalty to the initial policy and an entropy bonus.
Defaults are those of the RFT arm in UFT (2505.16984, Section 5 and released code): 256 prompts x 4 answers per step,
4 updates of 64 prompts each, learning rate 1e-6, clip 0.2, token mean, k3 at 0.001, entropy 0.001. The paper's text
(equation 3.1) has the exact KL and no entropy bonus: ``kl=ExactKl()``, ``entropy=0``.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems
from posttrain.stages import reinforced
from posttrain.stages.reinforced import Reinforcement


def recipe(problems: Problems, *, steps: int = 500, reinforcement: Reinforcement = Reinforcement()) -> Recipe:
    """One reinforced stage of ``steps`` collections, answers sampled from scratch."""
    source = OnPolicy(reinforcement.rollouts_per_prompt)
    return Recipe((reinforced.stage(problems, steps, reinforcement, source),))
