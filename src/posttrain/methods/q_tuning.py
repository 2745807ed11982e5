"""Quadrant-based tuning: drop noisy and redundant samples, and the outlying tokens of misconceptions.

Paper: Winning the Pruning Gamble: A Unified Approach to Joint Sample and Token Pruning (Wang et al., 2025).
arXiv: 2509.23873
Axes: selection

Supervised fine-tuning in which one pass of the policy places every sample of a batch on a plane of error (perplexity of
the answer) and uncertainty (mean predictive entropy). Samples high or low in both are dropped; those with high error
and low uncertainty, misconceptions, lose their most surprising tokens from the loss, and those with low error and high
uncertainty are kept whole. The loss is the mean over the tokens that are left.

Defaults: 12.5% of the samples and 50% of the tokens (the headline; the paper also tries 25% and 50% of the samples and
70% of the tokens), lambda 0.5, batches of 8, 4 of them per update, 10 rounds of bisection (Algorithm 1, Table 7). The
paper's learning rate of 1e-4 belongs to LoRA of rank 8; here the rate is that of ``sft`` for all weights.

Readings: tokens with a *high* score are pruned, as text, figure and Table 5 say, though Algorithm 1 speaks of the top.
Supplemented samples keep all tokens (``supplemented="by_sign"`` is the other reading). Pruned tokens stay in the
context. A missing neighbour counts as the token itself.

Reductions: ``samples = tokens = 1`` is ``sft``; ``tokens=1`` prunes samples only; ``samples=1`` tokens only;
``neighbours=0`` ranks tokens by their own perplexity.

Known limit: where a batch is small and both quantities go together, most of what is kept comes from the supplement,
and a wrong label that the policy is confident about lies among the misconceptions.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerToken
from posttrain.recipe import Recipe
from posttrain.selection.quadrants import Quadrants
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    selection: Quadrants = Quadrants(),
    supervision: Supervision = Supervision(prompts_per_step=32, share=PerToken("weights")),
) -> Recipe:
    """One supervised stage of ``steps`` updates.

    Args:
        problems: every example needs a demonstration.
        steps: updates (500).
        selection: which samples and tokens are trained on.
        supervision: how they are imitated; ``prompts_per_step`` counts samples before pruning (32). Its share counts
            weights: a pruned token must not make the others count less.
    """
    return Recipe((dataclasses.replace(supervised.stage(problems, steps, supervision), selection=selection),))
