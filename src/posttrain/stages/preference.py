"""Pairs of a better and a worse answer, told apart against a reference."""

from __future__ import annotations

from dataclasses import dataclass, field

from posttrain.batching import PerGroup
from posttrain.durations import Duration, Steps
from posttrain.objectives.preference import BradleyTerry, PairedPreference, SquaredMargin
from posttrain.protocols import Term
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
