"""Sorted fine-tuning: the first layers alone learn to answer as well, all depths at once.

Paper: Sorted LLaMA: Unlocking the Potential of Intermediate Layers of LLMs (Kavehzadeh et al., 2023).
arXiv: 2309.08968
Axes: objective, decoding

The model's norm and head are applied to the states of several layers, and the loss is the mean of their likelihoods:
``L = 1/|B| sum over n in B of L_n``. One set of weights then is a model of every depth in B: ``up_to`` cuts it off
there, ``EarlyExitEngine`` lets each token leave where it is certain, ``answer_at_depths`` measures them. Defaults are
the paper's: an exit after every 4th layer down from the last one, none before 30% of the depth (12, 16 … 40 of 40
layers), learning rate 2e-5 with a cosine. Our readings: batches of 32 accumulated 8 times are updates of 256, and what
the paper does not state is as in the usual trainer (no warm-up, no weight decay, betas 0.9 and 0.999, gradients cut
at 1.0).

Reductions: the last layer as the only exit is ``sft``, up to rounding. Not here: SortedNet's draw of one exit per step
instead of the mean.
"""

from __future__ import annotations

import dataclasses

from posttrain.objectives.exits import AtDepths, AtFractions, AverageOverExits, EveryFew
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision

SUPERVISION = Supervision(
    prompts_per_step=256, learning_rate=2e-5, warmup=0.0, betas=(0.9, 0.999), weight_decay=0.0, clip_norm=1.0
)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    exits: EveryFew | AtDepths | AtFractions = EveryFew(),
    supervision: Supervision = SUPERVISION,
) -> Recipe:
    """One supervised stage of ``steps`` updates, each with one pass that all exits share.

    Args:
        problems: every example needs a demonstration.
        steps: updates (the paper: 2 epochs).
        exits: the depths that learn to answer.
        supervision: everything about the demonstrations and the optimiser.
    """
    stage = supervised.stage(problems, steps, supervision)
    (likelihood,) = stage.terms
    averaged = dataclasses.replace(likelihood, objective=AverageOverExits(likelihood.objective, exits))
    return Recipe((dataclasses.replace(stage, terms=(averaged,)),))
