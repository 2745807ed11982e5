"""Direct preference optimisation: of two answers, make the preferred one more likely than the rejected one.

Paper: Direct Preference Optimization: Your Language Model is Secretly a Reward Model (Rafailov et al., 2023).
arXiv: 2305.18290
Axes: source, objective

The loss of a pair is ``-log sigmoid(beta (log p(w) / p_ref(w) - log p(l) / p_ref(l)))`` (equation 7), with the
log-probabilities of whole answers, end-of-sequence included, and the mean over the pairs of the minibatch. The
reference is the policy at the start of the stage. An example's pair is its first demonstration and
``facts["rejected"]``; in a file of examples that is the column ``rejected``.

Defaults: beta 0.1, batches of 64 pairs, learning rate 1e-6 after a linear warm-up over 150 steps (Appendix B); the
gradient is cut at 10 and there is no weight decay (released code, ``config.yaml`` and ``trainers.py``; its learning
rate there is 5e-7). The number of steps is ours. Deviation: AdamW, where the paper has RMSprop.

``preferences.loss=squared_margin`` is IPO (2310.12036). Reductions: at its first update the gradient is ``beta / 2``
times that of the mean of ``log p(l) - log p(w)``; IPO's is ``1 / tau`` times it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from posttrain.batching import PerGroup
from posttrain.durations import Duration, Steps
from posttrain.objectives.preference import BradleyTerry, PairedPreference, SquaredMargin
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.pairs import Pairs, need_pairs
from posttrain.schedules import Constant, Warmup
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class Preferences:
    """How preferences are learnt.

    Args:
        prompts_per_step: pairs in one update (64).
        learning_rate: after the warm-up (1e-6).
        warmup: how long it rises linearly (150 steps).
        loss: of a pair's margin, with how near the policy stays to the reference (DPO with beta 0.1).
        betas: AdamW's (its usual 0.9, 0.999; the paper has RMSprop).
        weight_decay: AdamW's (0).
        clip_norm: gradient norm cut (10).
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 64
    learning_rate: float = 1e-6
    warmup: Duration = field(default_factory=lambda: Steps(150))
    loss: BradleyTerry | SquaredMargin = BradleyTerry()
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float = 10.0
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.prompts_per_step < 1:
            raise ValueError(f"prompts_per_step must be at least 1, got {self.prompts_per_step}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")


def stage(problems: Problems, steps: int, preferences: Preferences) -> Stage:
    """The stage alone, for recipes that come to it from another one."""
    need_pairs(problems.examples)
    objective, answers = PairedPreference(preferences.loss), frozenset({Origin.GIVEN, Origin.SAMPLED})
    return Stage(
        name="preference",
        streams=(Stream("pairs", problems.examples, Pairs(), preferences.prompts_per_step),),
        terms=(Term("preference", objective, answers, PerGroup()),),
        steps=steps,
        learning_rate=Warmup(Constant(preferences.learning_rate), preferences.warmup),
        optimiser=AdamW(preferences.betas, 1e-8, preferences.weight_decay, preferences.clip_norm),
        tokens_per_microbatch=preferences.tokens_per_microbatch,
    )


def recipe(problems: Problems, *, steps: int = 500, preferences: Preferences = Preferences()) -> Recipe:
    """One stage.

    Args:
        problems: every example needs a demonstration and a rejected answer.
        steps: updates (500).
        preferences: how pairs are learnt from.
    """
    return Recipe((stage(problems, steps, preferences),))
