"""Off-policy guidance: a verified demonstration is one of the answers that reinforcement compares.

Paper: Learning to Reason under Off-Policy Guidance (Yan et al., 2025).
arXiv: 2504.14945
Axes: source, objective

Each group holds N - 1 sampled answers and one demonstration, which the verifier judges like them, so that the group
decides when imitation pays: with nothing but the demonstration right, its advantage is (N - 1) / N. The writer of a
demonstration is taken to have been certain; its importance ratio is then p itself, which would starve exactly the
tokens that are new, and is shaped:

    A_i = r_i - mean r,    loss = 1 / (B L_max) (sum over given of -A f(p) + sum over sampled of -A rho)

With f(p) = p / (p + 0.1) a demonstration token's log-probability has the weight A 0.1 p / (p + 0.1)^2.

Defaults are those of the released code: N = 8 with one demonstration, gamma 0.1, no clip on either side, advantages
without division by the standard deviation, a constant normaliser of 8192 tokens, 128 prompts a step in 2 updates,
learning rate 1e-6, temperature 1, entropy 0.001, no KL.

Reductions: with ``Logarithm()`` and every advantage 1 the demonstration's gradient is that of ``sft``; a large gamma,
scaled by itself, is ``Power()``, no shaping; where no example brought a demonstration it would be ``rft`` with
``Centred`` over N - 1 answers.

Deviations: the constant normaliser also averages over the answers of an update, where the code's step grows with
their number; the entropy bonus has the policy's normaliser, on sampled tokens alone; probabilities that a teacher
reports for its demonstration are not used.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerConstant
from posttrain.credit.group import Centred
from posttrain.errors import UserError
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.objectives.shaped import Logarithm, Power, Saturating, ShapedPolicy
from posttrain.recipe import Recipe
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems
from posttrain.stages import reinforced
from posttrain.stages.reinforced import Reinforcement
from posttrain.types import Origin


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    shaping: Saturating | Power | Logarithm = Saturating(),
    demonstrations_per_prompt: int = 1,
    reinforcement: Reinforcement = Reinforcement(
        prompts_per_step=128,
        rollouts_per_prompt=8,
        max_new_tokens=8192,
        credit=Centred(),
        objective=ClippedPolicy(clip=Clip(float("inf"), float("inf"))),
        share=PerConstant(8192.0),
        kl_coefficient=0.0,
    ),
) -> Recipe:
    """One stage of ``steps`` collections over groups with demonstrations in them.

    Args:
        problems: every example needs a demonstration; one that the verifier rejects is pushed down.
        steps: collections (500).
        shaping: what takes the place of the ratio on a demonstration's tokens.
        demonstrations_per_prompt: how many of ``rollouts_per_prompt`` are demonstrations, at most (1).
        reinforcement: everything about the group; its objective is that of the sampled tokens. Another
            ``max_new_tokens`` asks for the same number in ``share``.
    """
    problems.need_demonstrations(least_chunks=0)
    sampled = reinforcement.rollouts_per_prompt - demonstrations_per_prompt
    if demonstrations_per_prompt < 1 or sampled < 1:
        raise UserError(
            f"demonstrations_per_prompt must leave at least one of {reinforcement.rollouts_per_prompt} answers to the "
            f"policy and be at least 1, got {demonstrations_per_prompt}"
        )
    source = Mixed((OnPolicy(sampled), Demonstrations(demonstrations_per_prompt)))
    stage = reinforced.stage(problems, steps, reinforcement, source)
    policy, *others = stage.terms
    objective = ShapedPolicy(shaping, reinforcement.objective)
    policy = dataclasses.replace(policy, objective=objective, over=frozenset({Origin.GIVEN, Origin.SAMPLED}))
    return Recipe((dataclasses.replace(stage, terms=(policy, *others)),))
