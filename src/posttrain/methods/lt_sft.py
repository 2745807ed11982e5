"""Lottery-ticket sparse fine-tuning: train everything, keep what moved most, rewind, train only that.

Paper: Composable Sparse Fine-Tuning for Cross-Lingual Transfer (Ansell, Ponti, Korhonen, Vulić, 2022).
arXiv: 2110.07560
Axes: adapter, stages

A dense stage finds the entries that move most, compared over all parameters at once; the weights go back to where they
were, and a second stage with a fresh optimiser trains those entries alone. What it learns is a sparse vector, and
vectors that were learned apart are added: with ``language`` the task is learned on top of the model of another run
(the source language), and with ``transfer`` the finished task vector is moved onto a third one (the target language),
``base + (language vector of the target) + (task vector)``, all from the same base.

Defaults: 8% of the entries, norms and the output head left alone, learning rate 5e-5 with linear decay, no weight
decay, batches of 8, as many dense as sparse steps, one iteration, no L1 penalty: the tasks of the paper (14,155,776
entries of mBERT). Its languages use 4%, batches of 4 on two devices and ``l1=0.1``. ``steps`` is 500 here, where the
paper counts epochs.

Deviations: ties at the threshold do not exceed the number of entries; with several iterations each adds the same part
of it; the dense phase ends with its last weights, not with its best on validation data.

Reductions: ``density=1`` without ``dense_steps`` is ``sft`` of the same parameters; ``entries=AtRandom()`` is the
random-mask baseline, in half the steps; without decay the sparse stage is AdamW with masked gradients.
"""

from __future__ import annotations

import dataclasses

from posttrain.adapters.anchored import Anchored
from posttrain.adapters.masked import AtRandom, Largest, Masked, MostMoved
from posttrain.durations import Fraction
from posttrain.errors import UserError
from posttrain.recipe import Interlude, Recipe
from posttrain.schedules import Linear, Warmup
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision
from posttrain.weights.snapshots import Keep, Load, Rewind
from posttrain.weights.vectors import AddVector

TASK = Supervision(
    prompts_per_step=8, learning_rate=5e-5, warmup=0.0, betas=(0.9, 0.999), weight_decay=0.0, clip_norm=1.0
)
"""The released scripts' settings for tasks; betas and cut are those of the trainer they run in."""
TRUNK = r"^(?!.*(norm|\.ln_|lm_head))"
"""Everything but norms and the output head."""


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    dense_steps: int | None = None,
    density: float = 0.08,
    entries: MostMoved | Largest | AtRandom = MostMoved(),
    iterations: int = 1,
    l1: float = 0.0,
    names: str = TRUNK,
    language: str | None = None,
    transfer: str | None = None,
    supervision: Supervision = TASK,
) -> Recipe:
    """A dense and a sparse stage per iteration; baselines of the choice, which read no dense stage, have none.

    Args:
        problems: every example needs a demonstration.
        steps: updates of each sparse stage (500).
        dense_steps: updates of each dense stage; ``None``: as many as ``steps``, where ``entries`` reads one.
        density: share of the parameters named by ``names`` that is trained in the end (0.08).
        entries: which ones; those that moved most, or a baseline.
        iterations: how often the two stages are gone through, each adding its part of the entries (1).
        l1: coefficient of the mean absolute distance from the beginning, in both stages (0; the paper's languages 0.1).
        names: a regular expression for the parameters that are trained, densely as well (no norms, no output head).
        language: the folder of a model of the same base that the training begins from; ``None``: the run's own model.
        transfer: the folder of a model of the same base that the finished vector is moved onto; ``None``: it stays.
        supervision: of all stages; the learning rate decays linearly.
    """
    if iterations < 1:
        raise UserError(f"iterations must be at least 1, got {iterations}")
    if dense_steps and not isinstance(entries, MostMoved):
        raise UserError("a dense stage would change nothing: only entries=most_moved reads it; leave dense_steps out")
    plain = dataclasses.replace(
        supervised.stage(problems, steps, supervision),
        learning_rate=Warmup(Linear(supervision.learning_rate, 0.0), Fraction(supervision.warmup)),
    )
    made: list[Stage | Interlude] = [] if language is None else [Load("language", language), Rewind("language")]
    made.append(Keep("pretrained"))
    for k in range(1, iterations + 1):
        if isinstance(entries, MostMoved):
            dense, begin = ("dense", "pretrained") if k == 1 else (f"dense {k}", f"sparse {k - 1}")
            if k > 1:
                made.append(Keep(begin))
                entries = dataclasses.replace(entries, moved_to=(*entries.moved_to, dense))
            length, anchored = steps if dense_steps is None else dense_steps, Anchored("pretrained", l1, names)
            searching = dataclasses.replace(plain, name=f"dense {k}", steps=length, adapter=anchored)
            made += [searching, Keep(dense), Rewind(begin)]
        mask = Masked(density * k / iterations, entries, names, l1, "pretrained")
        made.append(dataclasses.replace(plain, name=f"sparse {k}", adapter=mask))
    if transfer is not None:
        made += [Keep("task"), Load("transfer", transfer), Rewind("transfer"), AddVector("task", "pretrained")]
    return Recipe(tuple(made))
