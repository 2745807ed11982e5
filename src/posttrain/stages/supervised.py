"""Demonstrations imitated, token by token."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from posttrain.batching import PerSequence, PerToken
from posttrain.data.subset import those
from posttrain.durations import Fraction
from posttrain.errors import UserError
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.schedules import Cosine, Warmup
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class Supervision:
    """How demonstrations are imitated.

    Args:
        prompts_per_step: prompts in one update, each with all of its demonstrations (UFT's baseline: 256, of one each).
        learning_rate: peak of warm-up and cosine (1e-5).
        warmup: fraction of the steps (0.1).
        betas: AdamW's (0.9, 0.95).
        weight_decay: AdamW's (0.01).
        clip_norm: gradient norm cut (1.0).
        share: token mean, or sequence mean.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 256
    learning_rate: float = 1e-5
    warmup: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    share: PerToken | PerSequence = PerToken()
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.prompts_per_step < 1:
            raise ValueError(f"prompts_per_step must be at least 1, got {self.prompts_per_step}")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a fraction of the steps, between 0 and 1, got {self.warmup}")


def stage(problems: Problems, steps: int, supervision: Supervision) -> Stage:
    """The supervised stage alone, for recipes that go on from it."""
    problems.need_demonstrations(least_chunks=0)
    return Stage(
        name="supervised",
        streams=(Stream("demonstrations", problems.examples, Demonstrations(), supervision.prompts_per_step),),
        terms=(Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), supervision.share),),
        steps=steps,
        learning_rate=Warmup(Cosine(supervision.learning_rate, 0.0), Fraction(supervision.warmup)),
        optimiser=AdamW(supervision.betas, 1e-8, supervision.weight_decay, supervision.clip_norm),
        tokens_per_microbatch=supervision.tokens_per_microbatch,
    )


def demonstrated(problems: Problems, most: int | None = None) -> Problems:
    """The problems that come with a demonstration, for a supervised stage before one that needs none.

    Args:
        problems: all of them.
        most: takes this many, the first ones; ``None``: every one.

    Raises:
        UserError: there is none.
    """
    if most is not None and most < 1:
        raise UserError(f"the number of demonstrations must be at least 1, got {most}")
    chosen = those(problems.examples, lambda example: bool(example.demonstrations))[:most]
    if not chosen:
        raise UserError("no example has a demonstration, which the supervised stage learns from")
    return dataclasses.replace(problems, examples=chosen)
