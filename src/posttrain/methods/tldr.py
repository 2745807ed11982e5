"""Reinforcement with a price on length, and a phrase in the prompt that says how high it is.

Paper: Making Small Language Models Efficient Reasoners: Intervention, Supervision, Reinforcement (Zhang et al., 2025).
arXiv: 2505.07961
Axes: source, reward, credit

A model that was distilled to reason does not know when to stop. TLDR reinforces ``score - lambda_level P(length)``:
every problem is asked once per level, with a phrase for the level behind its prompt and a price of its own, and answers
are compared with those to the same problem at the same level. In the end the phrase is a dial for the length.

The public texts give this idea and no numbers, so every default is our reading: the phrases; lambda 0.5, 0.2 and 0.05;
P the share of the longest length, which is the sampling's; 8 answers per problem and level; learning rate 1e-6, KL
0.001 and no entropy bonus; levels mixed evenly in expectation, by shuffling the problems of all of them together; all
answers priced. Credit is centred and not standardised: where all answers are right, dividing by their standard
deviation would make the tiniest difference in length a whole advantage. ``penalised=correct`` spares wrong answers,
which otherwise learn to be wrong quickly, and a truncated one is not punished twice. The paper's other half, the
temperature of the stop token, needs no training: :class:`posttrain.decoding.stop_temperature.StopTemperature`.

In a run's metrics ``correct`` counts full scores, which a priced answer does not have; evaluations are of the problems
as they are, without a phrase and without a price. :func:`posttrain.curation.levels.at_level` puts the phrase on
problems to evaluate.

Reductions: with strengths of 0 it is ``rft`` on the problems of all levels; ``levels=one_level`` with strength 0 is
``rft`` itself.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from posttrain.credit.group import Centred
from posttrain.curation.levels import OneLevel, ThreeLevels, at_level
from posttrain.recipe import Recipe
from posttrain.rewards.length import Cosine, Hinge, LengthPenalised, Linear
from posttrain.rewards.outcome import AsJudged
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems
from posttrain.stages import reinforced
from posttrain.stages.reinforced import Reinforcement


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    levels: ThreeLevels | OneLevel = ThreeLevels(),
    closing: str = "",
    shape: Linear | Cosine | Hinge = Linear(),
    penalised: Literal["all", "correct"] = "all",
    reinforcement: Reinforcement = Reinforcement(rollouts_per_prompt=8, credit=Centred(), entropy=0.0),
) -> Recipe:
    """One reinforced stage of ``steps`` collections.

    Args:
        problems: the training problems; each is asked at every level.
        steps: collections (500).
        levels: phrases and prices.
        closing: what every prompt ends with and the phrase is put before, such as a chat's assistant marker.
        shape: of the price over the share of the longest length, ``reinforcement.max_new_tokens``.
        penalised: all answers, or correct ones only.
        reinforcement: of the answers.
    """
    asked = tuple(
        at_level(example, name, phrase, closing)
        for name, phrase in levels.phrases().items()
        for example in problems.examples
    )
    longest = reinforcement.max_new_tokens
    judged = reinforcement.reward.of(problems.reward)
    reward = LengthPenalised(judged, longest, levels.strengths(), shape, penalised)
    priced = dataclasses.replace(problems, examples=asked, reward=reward)
    settings = dataclasses.replace(reinforcement, reward=AsJudged())  # a right answer with a price is still right
    return Recipe((reinforced.stage(priced, steps, settings, OnPolicy(reinforcement.rollouts_per_prompt)),))
