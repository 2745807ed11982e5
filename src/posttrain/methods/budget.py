"""A budget shared out between demonstrations and preference pairs: supervised first, then preferences.

Paper: Balancing the Budget (Raghavendra, Kang, Ritter, 2025), on supervised and preference-based finetuning.
arXiv: 2502.11284
Axes: curation, stages, schedule

Demonstrations and pairs cost something to annotate. Of a budget ``B`` the share ``rho`` buys ``floor(rho B / c_S)``
demonstrations, the rest ``floor((B - spent) / c_P)`` pairs. The model is fine-tuned on the demonstrations and then by
direct preference optimisation on the pairs, with itself after the first stage as the reference; a stage without
examples is left out. Examples are the beginning and the end of one fixed order, so that they are nested over shares
and budgets and have no prompt in common (``prompts=shared`` is the paper's ablation).

Defaults: equal costs (the headline setting); batches of 16, learning rates 5e-5 and 5e-6, beta 1.0 (documentation of a
fork of the authors' code, the only source for them; 0.1 is the common beta). The share 0.25 is one of the paper's grid
(0, 0.01, 0.1, 0.25, 0.5, 0.75, 1) and ours to choose, as are the warm-ups over a tenth of each stage. The paper trains
two epochs in each stage: ``epochs=2``. With ``epochs=null``, the default, ``steps`` is the length of the last stage as
in every other method, and the other stage passes over its examples as often. A comparison of shares needs equal
``epochs``: with equal steps a small set is passed over more often than a large one. Deviations: all weights are
trained, where the paper has LoRA of rank 32; AdamW in both stages.

Reductions: ``share=1`` is ``sft`` on what the budget buys, ``share=0`` is ``dpo`` from the base, bit for bit.
"""

from __future__ import annotations

import dataclasses
import fractions
import math
from typing import Literal, TypeVar

from posttrain.curation.allocation import Costs, allocated, bought, exact
from posttrain.durations import Fraction
from posttrain.errors import UserError
from posttrain.objectives.preference import BradleyTerry
from posttrain.recipe import Recipe
from posttrain.stage import Problems, Stage
from posttrain.stages import preference, supervised
from posttrain.stages.preference import Preferences
from posttrain.stages.supervised import Supervision

Settings = TypeVar("Settings", Supervision, Preferences)


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    epochs: float | None = None,
    budget: float | None = None,
    share: float = 0.25,
    costs: Costs = Costs(),
    prompts: Literal["disjoint", "shared"] = "disjoint",
    order_seed: int = 0,
    supervision: Supervision = Supervision(prompts_per_step=16, learning_rate=5e-5),
    preferences: Preferences = Preferences(
        prompts_per_step=16, learning_rate=5e-6, warmup=Fraction(0.1), loss=BradleyTerry(1.0)
    ),
) -> Recipe:
    """One stage or two, by what the budget buys.

    Args:
        problems: examples for the first stage need a demonstration, those for the second a rejected answer as well.
        steps: updates of the last stage (500), unless ``epochs`` is given.
        epochs: passes over the examples of each stage, rounded up to whole updates (the paper's 2); ``null``: as many
            as ``steps`` makes of the last stage's.
        budget: in the unit of the costs; ``null``: one that all training problems just suffice for at any share.
        share: of the budget, for demonstrations, 0 … 1 (0.25).
        costs: of a demonstration and of a pair (1 and 1).
        prompts: whether the two stages may have prompts in common (disjoint).
        order_seed: of the fixed order that examples are taken from.
        supervision: of the first stage (batches of 16, learning rate 5e-5); an update holds at most all its examples.
        preferences: of the second stage, likewise (batches of 16, learning rate 5e-6, beta 1.0).
    """
    if epochs is not None and not 0 < epochs < math.inf:
        raise UserError(f"epochs must be above 0, got {epochs}")
    most = len(problems.examples) * min(exact(costs.demonstration), exact(costs.pair))
    shown, paired = bought(
        problems.examples, allocated(most if budget is None else budget, share, costs), prompts, order_seed
    )
    first, second = _at_most(supervision, len(shown)), _at_most(preferences, len(paired))
    last = (len(paired), second.prompts_per_step) if paired else (len(shown), first.prompts_per_step)
    passes = fractions.Fraction(steps * last[1], last[0]) if epochs is None else fractions.Fraction(str(epochs))
    stages: list[Stage] = []
    if shown:
        updates = math.ceil(passes * len(shown) / first.prompts_per_step)
        stages.append(supervised.stage(dataclasses.replace(problems, examples=shown), updates, first))
    if paired:
        updates = math.ceil(passes * len(paired) / second.prompts_per_step)
        stages.append(preference.stage(dataclasses.replace(problems, examples=paired), updates, second))
    return Recipe(tuple(stages))


def _at_most(settings: Settings, count: int) -> Settings:
    """The settings with no more prompts in an update than there are."""
    return dataclasses.replace(settings, prompts_per_step=max(1, min(settings.prompts_per_step, count)))
