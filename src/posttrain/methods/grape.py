"""Supervised fine-tuning on the answers that fit the base model best.

Paper: The Best Instruction-Tuning Data are Those That Fit (Zhang, Dai, Peng, 2025).
arXiv: 2502.04194
Axes: curation

Every prompt comes with several right answers of different writers. Before anything is trained, each is scored by its
mean log-probability per token under the base model, ``(1 / |y|) sum log p(y_t | x, y_<t)``, and only the likeliest
stays; then follows ordinary supervised fine-tuning. An example holds its candidates as ``demonstrations``, in a file of
examples as the column of that name. They must be right: a likely wrong answer wins as well.

Defaults: the likeliest one (the paper's top-1) and a learning rate of 1e-5 (all its runs); everything else about the
supervised stage is as in ``sft``. The paper trains for one epoch; here the length is ``steps``. Our reading: the prompt
is scored as it is trained, without a template put around it, and the end-of-sequence token counts (``end_counts``).

The paper's controls are other choices: ``drawn`` (random), ``least_likely`` (highest perplexity), ``everything`` (all
answers, with as many passes over each prompt), ``fixed`` (one writer's). Keeping more than one takes as many times the
tokens per update.

Reductions: with one candidate per prompt, or ``everything``, it is ``sft`` bit for bit.
"""

from __future__ import annotations

import dataclasses

from posttrain.curation.best_fit import BestFit
from posttrain.curation.choices import Drawn, Everything, Fixed, LeastLikely, MostLikely
from posttrain.recipe import Later, Recipe, Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    choice: MostLikely | LeastLikely | Drawn | Fixed | Everything = MostLikely(),
    end_counts: bool = True,
    supervision: Supervision = Supervision(),
) -> Recipe:
    """Choose, then one supervised stage on what was chosen.

    Args:
        problems: every example needs at least one demonstration, better several.
        steps: updates of the supervised stage (500).
        choice: which answers are kept.
        end_counts: whether the end-of-sequence token counts in an answer's mean log-probability.
        supervision: of the stage.
    """
    announced = supervised.stage(problems, steps, supervision)
    chosen = BestFit(problems, Demonstrations(), choice, end_counts, supervision.tokens_per_microbatch)

    def on_the_chosen(workspace: Workspace) -> Stage:
        kept = dataclasses.replace(problems, examples=workspace.examples[chosen.name])
        return supervised.stage(kept, steps, supervision)

    return Recipe((chosen, Later(announced.name, steps, on_the_chosen)))
