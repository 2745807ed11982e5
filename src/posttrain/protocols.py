"""What a part of each axis must be able to do: the seams of the library.

A part is a function or a frozen dataclass with ``__call__``. Nothing inherits from these protocols; a part fits when
its signature fits, and the contract tests walk the folders to see that every part does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from posttrain.types import Example, Group, Origin, Progress, Rollout, Sampling, TokenBatch, TrainingSequence, Verdict

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from posttrain.policy import Forward, Policy
    from posttrain.text import Text

Schedule = Callable[[Progress], float]
"""A number that moves with a stage's progress."""


@dataclass(frozen=True, eq=False)
class Completion:
    """What an engine wrote after one prompt.

    Args:
        tokens: Int["k"], the end-of-sequence token included when ``ended`` is ``"stop"``.
        logprobs: Float["k"], under the sampling policy at the sampling temperature (greedy: at temperature 1).
        stopped: whether the end-of-sequence token was written before the length ran out.
    """

    tokens: Tensor
    logprobs: Tensor
    stopped: bool


class Engine(Protocol):
    """Writes text with the policy's current weights."""

    @property
    def version(self) -> int:
        """The step whose weights are loaded."""
        ...

    def load(self, policy: Policy, version: int) -> None:
        """Take the weights of ``policy`` as of step ``version``; called before anything is sampled or evaluated."""
        ...

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """Continue each prompt (Int["l"]) ``completions_per_prompt`` times, in the order of the prompts."""
        ...


class Source(Protocol):
    """Decides what is written, by whom, from where: examples in, one group of rollouts per example out."""

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """One group per example, in the same order."""
        ...


class Reward(Protocol):
    """Judges a group of rollouts, one verdict each, in order. Text in, verdicts out."""

    def __call__(self, group: Group) -> tuple[Verdict, ...]:
        """The verdicts of ``group``. An exception stops the run; an unscorable answer is a verdict without score."""
        ...


class Credit(Protocol):
    """Turns the rewards of one group into advantages."""

    @property
    def compares(self) -> bool:
        """Whether rollouts are compared with each other, so that a group of one has no meaning."""
        ...

    def __call__(self, rewards: Tensor) -> Tensor:
        """Float["g"] rewards of one group -> Float["g"] advantages, one per rollout."""
        ...


class Objective(Protocol):
    """A loss per token. Pure: it reads a forward pass and a batch, and never normalises."""

    @property
    def needs(self) -> frozenset[str]:
        """The signals it reads from the batch, and ``"policy/NAME"`` for each frozen policy it runs."""
        ...

    def inert(self, sequence: TrainingSequence) -> bool:
        """Whether value and gradient are 0 on every token of ``sequence``, so that it need not pass the model."""
        ...

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]; only positions of non-zero weight are read."""
        ...


class Share(Protocol):
    """How a term's weights are normalised over the whole minibatch."""

    def denominators(
        self, members: Sequence[float], groups: Sequence[object], total: Callable[[float], float]
    ) -> list[float]:
        """The number that each sequence's member tokens are divided by.

        Args:
            members: per sequence of the term's stream in this rank's part of the minibatch, how many of its tokens are
                members.
            groups: per sequence, the key of its group.
            total: sums a number over all ranks.
        """
        ...


@dataclass(frozen=True)
class Term:
    """A named part of the loss: objective x membership x share x coefficient.

    Args:
        name: names it in metrics.
        objective: loss per token.
        over: the origins that are members.
        share: the normaliser.
        coefficient: a number or a schedule.
        stream: members come from this stream only; ``None`` takes every stream.
    """

    name: str
    objective: Objective
    over: frozenset[Origin]
    share: Share
    coefficient: Schedule | float = 1.0
    stream: str | None = None

    def __post_init__(self) -> None:
        """Refuse a term that can have no members."""
        if not self.over:
            raise ValueError(f"term {self.name!r} applies to no origin")
        if Origin.PROMPT in self.over:
            raise ValueError(f"term {self.name!r} would train on the prompt")

    def reads(self, sequence: TrainingSequence) -> bool:
        """Whether the term has members in the stream of ``sequence``."""
        return self.stream in (None, sequence.stream)

    def coefficient_at(self, now: Progress) -> float:
        """The coefficient at this point of the stage."""
        return float(self.coefficient(now)) if callable(self.coefficient) else float(self.coefficient)
