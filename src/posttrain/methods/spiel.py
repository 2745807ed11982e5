"""Sparse fine-tuning that drops and regrows what it trains.

Paper: Scaling Sparse Fine-Tuning to Large Language Models (Ansell, Vulić, Sterz, Korhonen, Ponti, 2024).
arXiv: 2401.16405
Axes: adapter, schedule

A fixed number of entries of each weight matrix is trained as a sparse difference from the pretrained weights. Every 20
updates those that changed least since they were grown are given up, with their change, and as many are grown
elsewhere from 0: where gradients summed over 5 updates are largest (AG, ``growth=ByGradients()``, the default), or
where SM3's row and column accumulators promise it (MA, ``growth=ByMoments()``). At the first replacement everything is
reconsidered, because the entries were drawn at random; later a share of ``0.2 * (1 - c / T)`` after update c of T.
Moments of grown entries start from the gradients that were seen (``PerEntryAdamW``: bias correction goes by each
entry's age); MA steps with SM3. Weight decay draws the differences to 0, that is, to the pretrained weights.

Defaults are those of the released script for Llama-2: AG, learning rate 1e-5 with linear decay and 3% warm-up, weight
decay 30, batches of 128, no cut of gradients; density 0.01 of all parameters. MA has a rate and a decay of its own
(``moments``): the paper searches rates from 4e-4 to 2e-3, of which 7e-4 is the default, and decays for AG alone, so
that none is our reading.

Deviations from the released code: gradients are summed over updates, not over micro-batches, so that grown moments have
the scale of the others; every look takes 5 updates, where later ones of the code take 6; a grown entry's age is the
number of updates seen, so that its next update corrects by one more; epsilon and decay stand where torch has them.
``steps`` is 500 here, where the paper runs two epochs.

Reductions: shares of 0 in ``replacement`` leave a fixed random mask; ``density=1`` is dense training of the matrices;
with entries of equal age ``PerEntryAdamW`` is AdamW.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from posttrain.adapters.growth import ByGradients, ByMoments
from posttrain.adapters.spiel import CosineReplacement, LinearReplacement, Spiel
from posttrain.durations import Fraction
from posttrain.optimisers.per_entry import PerEntryAdamW
from posttrain.optimisers.sm3 import Sm3
from posttrain.recipe import Recipe
from posttrain.schedules import Linear, Warmup
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision

SCRIPT = Supervision(
    prompts_per_step=128,
    learning_rate=1e-5,
    warmup=0.03,
    betas=(0.9, 0.999),
    weight_decay=30.0,
    clip_norm=float("inf"),
)
"""The released script's settings."""


@dataclass(frozen=True)
class Moments:
    """What MA steps with in place of the learning rate and decay of ``supervision``, which are AG's.

    Args:
        learning_rate: peak of warm-up and decay (7e-4; the paper searches 4e-4 to 2e-3).
        weight_decay: towards the pretrained weights (0, our reading).
    """

    learning_rate: float = 7e-4
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what no update could follow."""
        if self.learning_rate < 0 or self.weight_decay < 0:
            raise ValueError(f"learning_rate and weight_decay cannot be negative, got {self}")


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    density: float = 0.01,
    growth: ByGradients | ByMoments = ByGradients(),
    replacement: LinearReplacement | CosineReplacement = LinearReplacement(),
    every: int = 20,
    looking: int = 5,
    supervision: Supervision = SCRIPT,
    moments: Moments = Moments(),
) -> Recipe:
    """One supervised stage of ``steps`` updates with a sparse difference.

    Args:
        problems: every example needs a demonstration.
        steps: updates (500).
        density: entries that are trained, relative to all parameters of the model (0.01).
        growth: where new entries are grown (AG; MA steps with SM3, for which the betas have no meaning).
        replacement: how many entries are replaced.
        every: updates from one replacement to the next (20).
        looking: updates that are looked at before a replacement (5).
        supervision: how demonstrations are imitated; the learning rate decays linearly.
        moments: learning rate and decay where growth goes by moments; those of ``supervision`` are not read then.
    """
    own = moments if isinstance(growth, ByMoments) else supervision
    decay, clip = own.weight_decay, supervision.clip_norm
    return Recipe(
        (
            dataclasses.replace(
                supervised.stage(problems, steps, supervision),
                name="sparse",
                learning_rate=Warmup(Linear(own.learning_rate, 0.0), Fraction(supervision.warmup)),
                optimiser=Sm3(1e-8, decay, clip)
                if isinstance(growth, ByMoments)
                else PerEntryAdamW(supervision.betas, 1e-6, decay, clip),
                adapter=Spiel(density, growth, replacement, every, looking),
            ),
        )
    )
