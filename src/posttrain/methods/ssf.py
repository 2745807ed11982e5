"""Supervised fine-tuning of scales and shifts of a frozen model's features.

Paper: Scaling & Shifting Your Features: A New Baseline for Efficient Model Tuning (Lian et al., 2022).
arXiv: 2210.08823
Axes: adapter

After every operation of the frozen model its features are multiplied by a trained scale and moved by a trained shift,
one each per channel; at the end both fold into the weights, so that the tuned model costs what the base does. Loss and
streams are those of ``sft``; any other method takes the same adapter by ``stage.adapter=ssf``.

Defaults are those of the released code for CIFAR-100: AdamW 1e-3, warm-up over a tenth of the training and a cosine to
zero (there to 1e-8), the 32 examples that a GPU had in a batch, scales from N(1, 0.02^2) and shifts from N(0, 0.02^2).
Its weight decay of 0.05 spares one-dimensional parameters, which is all that is trained here, so it is 0.
Deviations: language models in place of vision transformers, so the places of scales and shifts are our reading; shifts
stand only where the model has a bias for them (``adapter.shift``); no head is trained beside them, since a language
model brings its own; no moving average of the weights (0.99992).

Reductions: ``adapter.shift=none`` is scaling alone, as in (IA)^3; ``adapter.start=identity`` with a learning rate of 0
leaves the model as it was.
"""

from __future__ import annotations

import dataclasses

from posttrain.adapters.ssf import Ssf
from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    adapter: Ssf = Ssf(),
    supervision: Supervision = Supervision(
        prompts_per_step=32,
        learning_rate=1e-3,
        warmup=0.1,
        betas=(0.9, 0.999),
        weight_decay=0.0,
        clip_norm=float("inf"),
    ),
) -> Recipe:
    """One supervised stage of ``steps`` updates, in which only scales and shifts are trained.

    Args:
        problems: every example needs a demonstration.
        steps: updates (500).
        adapter: places and start of scales and shifts.
        supervision: how demonstrations are imitated.
    """
    return Recipe((dataclasses.replace(supervised.stage(problems, steps, supervision), adapter=adapter),))
