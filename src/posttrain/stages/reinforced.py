"""Sampled answers reinforced by the clipped surrogate, over any source of groups."""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.entropy import NegativeEntropy
from posttrain.objectives.kl import EstimatedKl, ExactKl
from posttrain.protocols import Source, Term
from posttrain.rewards.outcome import AsJudged, RightOnly
from posttrain.sampling import Sampling
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin


@dataclass(frozen=True)
class Reinforcement:
    """How sampled answers are reinforced; shared by every method with a sampled phase.

    Args:
        prompts_per_step: prompts per collection (256).
        rollouts_per_prompt: answers per prompt (4).
        groups_per_update: prompts per optimiser update (64, so 4 updates per collection); ``None``: all of them.
        learning_rate: constant (1e-6).
        temperature: of sampling (1.0; no top-p, no top-k).
        max_new_tokens: longest continuation in tokens (1024).
        reward: what wrong answers earn: what the verifier gave them (in UFT 0.1 if they are well-formed), or nothing.
        credit: rewards to advantages (standardised).
        objective: ratio level and clip (token, 0.2).
        share: normaliser of policy, KL and entropy terms (token mean).
        kl: estimator of the KL penalty (k3; the paper's text: exact).
        kl_coefficient: 0.001; 0 leaves the term out, and rows without advantage are then never sent through the model.
        entropy: coefficient of the bonus (0.001 in the released code, 0 in the paper); 0 leaves it out.
        weight_decay: AdamW's (0.01).
        clip_norm: gradient norm cut (1.0).
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 256
    rollouts_per_prompt: int = 4
    groups_per_update: int | None = 64
    learning_rate: float = 1e-6
    temperature: float = 1.0
    max_new_tokens: int = 1024
    reward: AsJudged | RightOnly = AsJudged()
    credit: Standardised | Centred | LeaveOneOut = Standardised()
    objective: ClippedPolicy = ClippedPolicy()
    share: PerToken | PerSequence | PerGroup | PerConstant = PerToken()
    kl: EstimatedKl | ExactKl = EstimatedKl()
    kl_coefficient: float = 0.001
    entropy: float = 0.001
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later, or would teach nothing."""
        if self.prompts_per_step < 1 or self.rollouts_per_prompt < 1:
            raise ValueError("prompts_per_step and rollouts_per_prompt must be at least 1")
        if self.credit.compares and self.rollouts_per_prompt < 2:
            raise ValueError("credit compares the answers to a prompt; rollouts_per_prompt must be at least 2")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")
        if self.temperature <= 0 or self.max_new_tokens < 1:
            raise ValueError("sampling needs a temperature above 0 and max_new_tokens of at least 1")


def stage(
    problems: Problems, steps: int, settings: Reinforcement, source: Source, extra_terms: tuple[Term, ...] = ()
) -> Stage:
    """The reinforced stage over any source of groups, for methods that change where answers start."""
    reward = settings.reward.of(problems.reward)
    return Stage(
        name="reinforced",
        streams=(Stream("answers", problems.examples, source, settings.prompts_per_step, reward, settings.credit),),
        terms=(*policy_terms(settings), *extra_terms),
        steps=steps,
        learning_rate=settings.learning_rate,
        optimiser=AdamW((0.9, 0.999), 1e-8, settings.weight_decay, settings.clip_norm),
        sampling=Sampling(settings.temperature, settings.max_new_tokens),
        groups_per_update=settings.groups_per_update,
        tokens_per_microbatch=settings.tokens_per_microbatch,
    )


def policy_terms(settings: Reinforcement) -> tuple[Term, ...]:
    """The clipped surrogate and, where their coefficient is not 0, the KL penalty and the entropy bonus."""
    sampled = frozenset({Origin.SAMPLED})
    terms = [Term("policy", settings.objective, sampled, settings.share)]
    if settings.kl_coefficient:
        terms.append(Term("kl", settings.kl, sampled, settings.share, settings.kl_coefficient))
    if settings.entropy:
        terms.append(Term("entropy", NegativeEntropy(), sampled, settings.share, settings.entropy))
    return tuple(terms)
