"""Supervised fine-tuning of low-rank changes to a frozen model.

Paper: LoRA: Low-Rank Adaptation of Large Language Models (Hu et al., 2021).
arXiv: 2106.09685
Axes: adapter

Every targeted weight W becomes ``W + (alpha / rank) B A``; A is random, B is zero, and only they are trained, so the
first step starts from the model as it was and the last one leaves a model of the same form. Loss and streams are those
of ``sft``; any other method takes the same adapter by ``stage.adapter=lora``.

Defaults are those of GPT-2 medium on E2E (Table 11 and the released script): rank 4, alpha 32, queries and values,
AdamW 2e-4 with weight decay 0.01 and betas (0.9, 0.999), batches of 8, no gradient clipping, warm-up over 500 of 26,289
updates, here 2% of the steps. Deviations: a cosine to zero takes the place of the linear decay; there is no dropout
(0.1), because a policy is never in training mode, and no label smoothing (0.1); where queries, keys and values are one
layer (GPT-2) the change covers all three.

Reductions: with the rank of the weights and every layer targeted the reachable models are those of full fine-tuning of
these layers; 0 steps, or a learning rate of 0, leave the model as it was.
"""

from __future__ import annotations

import dataclasses

from posttrain.adapters.lora import Lora
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    adapter: Lora = Lora(rank=4, alpha=32.0, targets="usual"),
    supervision: Supervision = Supervision(
        prompts_per_step=8,
        learning_rate=2e-4,
        warmup=0.02,
        betas=(0.9, 0.999),
        weight_decay=0.01,
        clip_norm=float("inf"),
    ),
) -> Recipe:
    """One supervised stage of ``steps`` updates, in which only the adapter is trained.

    Args:
        problems: every example needs a demonstration.
        steps: updates (500).
        adapter: rank, scale and places of the change.
        supervision: how demonstrations are imitated.
    """
    return Recipe((dataclasses.replace(supervised.stage(problems, steps, supervision), adapter=adapter),))
