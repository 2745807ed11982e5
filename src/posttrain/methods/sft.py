"""Supervised fine-tuning: maximise the likelihood of demonstrations.

Paper: Training language models to follow instructions with human feedback (Ouyang et al., 2022).
arXiv: 2203.02155
Axes: source, objective

Loss: the mean of ``-log p(token)`` over all demonstration tokens of the minibatch, end-of-sequence included; prompt
tokens carry no loss. Defaults are those of the SFT baseline in UFT (2505.16984, released code): AdamW 1e-5,
betas (0.9, 0.95), weight decay 0.01, warm-up over 10% of the steps and a cosine to zero, gradients cut at 1.0,
batches of 256, at most 500 steps. Deviation: the cosine runs over all steps and is scaled down during the warm-up,
where the released code begins it after the warm-up.
"""

from __future__ import annotations

from posttrain.recipe import Recipe
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(problems: Problems, *, steps: int = 500, supervision: Supervision = Supervision()) -> Recipe:
    """One supervised stage of ``steps`` updates."""
    return Recipe((supervised.stage(problems, steps, supervision),))
