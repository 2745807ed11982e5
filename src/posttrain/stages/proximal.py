"""Sampled answers reinforced with credit of any kind, and the critic trained that such credit may need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken
from posttrain.errors import UserError
from posttrain.frozen import FrozenPolicy, Snapshot
from posttrain.heads import ValueHead
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.entropy import NegativeEntropy
from posttrain.objectives.value import ClippedValue
from posttrain.protocols import Credit, Term
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class ActorCritic:
    """How answers are sampled, and how policy and critic are moved.

    Args:
        prompts_per_step: prompts per collection (32).
        rollouts_per_prompt: answers per prompt (1; credit that compares answers needs at least 2).
        groups_per_update: prompts per optimiser update; ``None``: all of the collection.
        passes_over_rollouts: how often a collection is gone through (2).
        learning_rate: constant (3e-7).
        temperature: of sampling (1.0).
        max_new_tokens: longest continuation in tokens (1024).
        objective: ratio level and clip (token, 0.2).
        value: the critic's loss (clip 0.2).
        value_coefficient: of the critic's loss (5).
        head: the critic.
        share: normaliser of all terms (sequence mean).
        entropy: coefficient of the bonus (0); 0 leaves it out.
        weight_decay: AdamW's (0.01).
        clip_norm: gradient norm cut (1.0), head included.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 32
    rollouts_per_prompt: int = 1
    groups_per_update: int | None = None
    passes_over_rollouts: int = 2
    learning_rate: float = 3e-7
    temperature: float = 1.0
    max_new_tokens: int = 1024
    objective: ClippedPolicy = ClippedPolicy()
    value: ClippedValue = ClippedValue()
    value_coefficient: float = 5.0
    head: ValueHead = ValueHead()
    share: PerToken | PerSequence | PerGroup | PerConstant = PerSequence()
    entropy: float = 0.0
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


def answers(problems: Problems, credit: Credit, settings: ActorCritic) -> Stream:
    """The stream of answers sampled from scratch, judged if the credit reads rewards."""
    if credit.compares and settings.rollouts_per_prompt < 2:
        raise UserError("credit compares the answers to a prompt; actor_critic.rollouts_per_prompt must be at least 2")
    reward = problems.reward if credit.reads_rewards else None
    source = OnPolicy(settings.rollouts_per_prompt)
    return Stream("answers", problems.examples, source, settings.prompts_per_step, reward, credit)


def stage(stream: Stream, steps: int, settings: ActorCritic, frozen: Mapping[str, FrozenPolicy] | None = None) -> Stage:
    """The stage over any stream with credit; a critic is trained if that credit has returns for it.

    Args:
        stream: where answers come from, what judges them, and their credit.
        steps: collections.
        settings: everything else.
        frozen: the frozen policies that the credit may name; ``None``: ``reference``, as the policy was at first.
    """
    critic = stream.credit is not None and "returns" in stream.credit.provides
    sampled = frozenset({Origin.SAMPLED})
    terms = [Term("policy", settings.objective, sampled, settings.share)]
    if critic:
        terms.append(Term("value", settings.value, sampled, settings.share, settings.value_coefficient))
    if settings.entropy:
        terms.append(Term("entropy", NegativeEntropy(), sampled, settings.share, settings.entropy))
    return Stage(
        name="reinforced",
        streams=(stream,),
        terms=tuple(terms),
        steps=steps,
        learning_rate=settings.learning_rate,
        optimiser=AdamW((0.9, 0.999), 1e-8, settings.weight_decay, settings.clip_norm),
        sampling=Sampling(settings.temperature, settings.max_new_tokens),
        groups_per_update=settings.groups_per_update,
        passes_over_rollouts=settings.passes_over_rollouts,
        frozen={"reference": Snapshot()} if frozen is None else frozen,
        heads={"value": settings.head} if critic else {},
        tokens_per_microbatch=settings.tokens_per_microbatch,
    )
