"""Selective self-to-supervised fine-tuning: train on the model's own answers where they are right.

Paper: Selective Self-to-Supervised Fine-Tuning for Generalization in Large Language Models (Gupta et al., 2025).
arXiv: 2502.08130
Axes: curation

A problem has more than one right answer, and imitating one's own moves the model less than imitating somebody else's.
Before anything is trained, the model answers every prompt; where a judge finds the answer right, it becomes the target.
Where not, the model says the gold answer in its own words, and that is the target if it is still right. Otherwise the
gold stays. Then follows ordinary supervised fine-tuning on the plain prompts.

The judge is the task's verifier (final answer, tests), or the model itself with the gold before its eyes
(``judge=model_judge``). Our reading, because the sources are silent: greedy decoding with one attempt, the wording of
the prompts, and the supervised stage of ``sft``. Deviation: all weights are trained, where the paper has LoRA of rank
8.

Reductions: if the judge refuses everything it is ``sft`` bit for bit; if it accepts everything, self-distillation. The
paper's controls: ``own=null`` always prefers the paraphrase (SDFT), ``paraphrase=null`` leaves it out, and
``otherwise=drop`` with it trains on the model's own answers alone.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from posttrain.curation.judges import ModelJudge, TaskVerifier
from posttrain.curation.self_correct import SelfCorrect
from posttrain.curation.writing import OwnAnswer, Paraphrase
from posttrain.recipe import Later, Recipe, Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    judge: TaskVerifier | ModelJudge = TaskVerifier(),
    own: OwnAnswer | None = OwnAnswer(),
    paraphrase: Paraphrase | None = Paraphrase(),
    otherwise: Literal["gold", "drop"] = "gold",
    supervision: Supervision = Supervision(),
) -> Recipe:
    """Choose the targets, then one supervised stage on them.

    Args:
        problems: every example needs a demonstration; the first one is the gold answer.
        steps: updates of the supervised stage (500).
        judge: who decides what is right.
        own: how the model answers by itself; ``null`` leaves that out.
        paraphrase: how it says the gold answer again; ``null`` leaves that out.
        otherwise: whether the other examples keep their gold answer or are dropped.
        supervision: of the stage.
    """
    announced = supervised.stage(problems, steps, supervision)
    corrected = SelfCorrect(
        problems, Demonstrations(), judge, own, paraphrase, otherwise, supervision.tokens_per_microbatch
    )

    def on_the_targets(workspace: Workspace) -> Stage:
        made = dataclasses.replace(problems, examples=workspace.examples[corrected.name])
        return supervised.stage(made, steps, supervision)

    return Recipe((corrected, Later(announced.name, steps, on_the_targets)))
