"""Utility-diversity sampling: of every few demonstrations, train on the one whose logits say most.

Paper: Utility-Diversity Aware Online Batch Selection for LLM Supervised Fine-tuning (Zou et al., 2025).
arXiv: 2510.16882
Axes: selection

Supervised fine-tuning in which each batch of candidates passes the policy once without a gradient, and only the best
are trained on: those with the largest ``|L|_* + alpha * novelty``. The nuclear norm of a sequence's logits L stands for
what there is to learn and for how varied its predictions are; the novelty is the mean distance of a random sketch of L
to those of the sequences chosen lately. No reference model, no validation set, no further backward pass.

Defaults: 1 of 4 candidates, 32 sequences per update (micro-batches of 4 and 32 of them; released script, whose README
speaks of 12.5%), a memory of 1,024, sketches of 8 x 128 numbers over 512 positions at a time, alpha 2.5e-3 at a
vocabulary of 152,064 and so 11.0 in units that hold for any vocabulary, warm-up over 1% of the steps. The paper's
learning rate of 1.5e-4 belongs to LoRA of rank 8; here the rate is that of ``sft`` for all weights.

Baselines of the same budget are settings: ``selection=at_random``, ``selection=highest_loss``, the utility alone
(``diversity=0``), the diversity alone (``utility=0``).

Reductions: ``quota.share=1`` is ``sft``; ``diversity=0`` ranks by the nuclear norm.

Deviations: logits are those of the positions that predict a token of the sequence, never of padding, on which the
released code's scores depend, and not the one after the last token. The nuclear norm grows with the length of a
sequence, in the paper as here: lengths that differ much explain a choice by themselves. The distance to the other
candidates, which the paper's text has and the code has not, is off (``compared_with``).
"""

from __future__ import annotations

import dataclasses

from posttrain.recipe import Recipe
from posttrain.selection.baselines import AtRandom, HighestLoss
from posttrain.selection.utility_diversity import UtilityDiversity
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    selection: UtilityDiversity | AtRandom | HighestLoss = UtilityDiversity(),
    supervision: Supervision = Supervision(prompts_per_step=128, warmup=0.01),
) -> Recipe:
    """One supervised stage of ``steps`` updates.

    Args:
        problems: every example needs a demonstration.
        steps: updates (500).
        selection: what is trained on of each batch of candidates.
        supervision: how it is imitated; ``prompts_per_step`` counts candidates (128, of which 32 are trained on).
    """
    return Recipe((dataclasses.replace(supervised.stage(problems, steps, supervision), selection=selection),))
