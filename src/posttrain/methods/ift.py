"""Intuitive fine-tuning: demonstrations scored in contexts that lean towards the policy's own guesses.

Paper: Intuitive Fine-Tuning: Towards Simplifying Alignment into a Single Process (Hua et al., 2024).
arXiv: 2405.11870
Axes: objective

Each gold token that a later one is scored after is blended, in embedding space, with the policy's greedy guess at its
place: ``(1 - lambda) E[gold] + lambda E[guess]``. In these contexts a token's loss ``l_t = -log p`` is weighed by the
discounted losses from it onwards, ``w_t = c_t / mean(c)`` with ``c_t = sum over i >= t of gamma^(i - t) l_i``, and
gradients flow through the weights, so that a token also answers for what follows it. The loss is the mean over
sequences of ``mean(w l)``. Defaults are those of the released code: lambda 0.2, gamma 0.95, batches of 512, learning
rate 5e-7 with a cosine, warm-up over 10% of the steps (its script for Mistral: 15%), gradients cut at 10.

Text and code differ: the paper's sum of every position's later losses, read literally, weighs the n-th token n times
the first (``propagation=later_tokens``; scaled to mean 1, which is our reading); the code, which is the default here,
weighs each loss by the later ones (``future_losses``).

Reductions: ``blend = 0`` and ``discount = 0`` are ``sft`` with a sequence mean, except that the embeddings, being
constants of the context, learn from the output side only, or not at all where the head is not tied to them. A discount
near 0 is not ``sft`` but ``sum(l^2) / sum(l)``. Deviations: the optimiser is AdamW with betas 0 and 0.99 and without
decay, which is the code's RMSprop but for its bias correction. Of the code's options the warm-up and the noise of
lambda, other norms of the weights, and guesses other than the greedy one are not here.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerSequence
from posttrain.objectives.intuitive import FutureLosses, IntuitiveLikelihood, LaterTokens
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision

SUPERVISION = Supervision(
    prompts_per_step=512,
    learning_rate=5e-7,
    warmup=0.1,
    betas=(0.0, 0.99),
    weight_decay=0.0,
    clip_norm=10.0,
    share=PerSequence(),
)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    blend: float = 0.2,
    propagation: FutureLosses | LaterTokens = FutureLosses(),
    supervision: Supervision = SUPERVISION,
) -> Recipe:
    """One supervised stage of ``steps`` updates, each with a pass for the guesses and one in the blended contexts.

    Args:
        problems: every example needs a demonstration.
        steps: updates (the paper: 3 epochs of 61,000 examples).
        blend: lambda, the guess's part of the context, 0 … 1 (0.2).
        propagation: how a token answers for later ones.
        supervision: everything about the demonstrations and the optimiser; its ``share`` is the mean over sequences.
    """
    stage = supervised.stage(problems, steps, supervision)
    (likelihood,) = stage.terms
    objective = IntuitiveLikelihood(blend, propagation, likelihood.over)
    return Recipe((dataclasses.replace(stage, terms=(dataclasses.replace(likelihood, objective=objective),)),))
