"""A student's own answers, moved towards what a teacher would have written."""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken
from posttrain.credit.teacher import TeacherRatio
from posttrain.frozen import FrozenPolicy
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.distil import ForwardKl, HardTarget, JensenShannon, ReverseKl
from posttrain.protocols import Credit, Objective, Term
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class Sampled:
    """The reverse divergence by policy gradient, from the sampled tokens alone: the form of the paper.

    Args:
        credit: the teacher's log-ratio (floor -20).
        objective: ratio level and clip (token, 0.2); they matter where a collection is trained on several times.
    """

    credit: TeacherRatio = TeacherRatio()
    objective: ClippedPolicy = ClippedPolicy()


@dataclass(frozen=True)
class Distillation:
    """How the student answers, and how it is moved towards the teacher.

    Args:
        prompts_per_step: prompts per collection (64).
        rollouts_per_prompt: answers per prompt (8; the paper's ablation has 2 and 4).
        groups_per_update: prompts per optimiser update; ``None``: all of the collection.
        passes_over_rollouts: how often a collection is gone through (1).
        learning_rate: constant (5e-6).
        temperature: of sampling, and of both distributions (1.0).
        max_new_tokens: longest continuation in tokens (1024).
        divergence: what is made small, and from what.
        share: normaliser (sequence mean).
        weight_decay: AdamW's (0.01).
        clip_norm: gradient norm cut (1.0).
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 64
    rollouts_per_prompt: int = 8
    groups_per_update: int | None = None
    passes_over_rollouts: int = 1
    learning_rate: float = 5e-6
    temperature: float = 1.0
    max_new_tokens: int = 1024
    divergence: Sampled | ReverseKl | ForwardKl | HardTarget | JensenShannon = Sampled()
    share: PerToken | PerSequence | PerGroup | PerConstant = PerSequence()
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.prompts_per_step < 1 or self.rollouts_per_prompt < 1:
            raise ValueError("prompts_per_step and rollouts_per_prompt must be at least 1")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")
        if self.temperature <= 0 or self.max_new_tokens < 1:
            raise ValueError("sampling needs a temperature above 0 and max_new_tokens of at least 1")


def stage(problems: Problems, steps: int, settings: Distillation, teacher: FrozenPolicy) -> Stage:
    """The distilled stage alone; ``teacher`` is any frozen policy with the student's tokenizer."""
    credit: Credit | None = None
    objective: Objective
    if isinstance(settings.divergence, Sampled):
        credit, objective = settings.divergence.credit, settings.divergence.objective
    else:
        objective = settings.divergence
    source = OnPolicy(settings.rollouts_per_prompt)
    return Stage(
        name="distilled",
        streams=(Stream("answers", problems.examples, source, settings.prompts_per_step, credit=credit),),
        terms=(Term("teacher", objective, frozenset({Origin.SAMPLED}), settings.share),),
        steps=steps,
        learning_rate=settings.learning_rate,
        optimiser=AdamW((0.9, 0.999), 1e-8, settings.weight_decay, settings.clip_norm),
        sampling=Sampling(settings.temperature, settings.max_new_tokens),
        groups_per_update=settings.groups_per_update,
        passes_over_rollouts=settings.passes_over_rollouts,
        frozen={"teacher": teacher},
        tokens_per_microbatch=settings.tokens_per_microbatch,
    )
