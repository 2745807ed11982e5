"""What a part of each axis must be able to do: the seams of the library.

A part is a function or a frozen dataclass with ``__call__``. It fits when its signature fits, and inherits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from posttrain.arrivals import Arriving
from posttrain.sampling import Completion, Sampling
from posttrain.types import Example, Group, Origin, Progress, TokenBatch, TrainingSequence, Verdict

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.optim import Optimizer

    from posttrain.forward import Forward
    from posttrain.policy import Policy
    from posttrain.text import Text

Schedule = Callable[[Progress], float]
"""A number that moves with a stage's progress."""


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

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same, each prompt's place and completions once these have ended; read it before the weights move."""
        ...


class Source(Protocol):
    """Decides what is written, by whom, from where: examples in, one group of rollouts per example out."""

    @property
    def provides(self) -> frozenset[str]:
        """The signals that its rollouts carry."""
        ...

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> Arriving[Group]:
        """One group per example: a list in their order, or each with its example's place as soon as it is finished."""
        ...


class Reward(Protocol):
    """Judges a group of rollouts, one verdict each, in order. Text in, verdicts out.

    Several threads ask it at once, beside the one that writes; what may not run so, such as a model, holds a lock.
    """

    def __call__(self, group: Group) -> tuple[Verdict, ...]:
        """The verdicts of ``group``. An exception stops the run; an unscorable answer is a verdict without score."""
        ...


class Credit(Protocol):
    """Turns rewards, and signals where it needs some, into advantages per token."""

    @property
    def compares(self) -> bool:
        """Whether rollouts are compared with each other, so that a group of one has no meaning."""
        ...

    @property
    def reads_rewards(self) -> bool:
        """Whether it reads verdicts, so that its stream needs a reward; credit of signals alone does not."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """The signals of a model that it reads, such as ``"old_values"``."""
        ...

    @property
    def provides(self) -> frozenset[str]:
        """The signals that it makes: ``"advantages"``, and for a critic ``"returns"``."""
        ...

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """All of one stream and step, judged if it reads rewards -> per sequence its signals Float["l"], in order."""
        ...


class Optimiser(Protocol):
    """Decides how a gradient moves the weights. A specification."""

    @property
    def clip_norm(self) -> float:
        """The gradient's 2-norm is cut at this; infinity turns it off."""
        ...

    def start(self, groups: list[dict[str, Any]]) -> Optimizer:
        """The rule with an empty memory over groups as torch takes them; the loop sets ``lr`` before every update."""
        ...


class Adapter(Protocol):
    """Decides which numbers of a model are trained. A specification."""

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> Attached:
        """Change the model in place so that its parameters with ``requires_grad`` are those that are trained.

        Args:
            policy: the one that is going to be trained.
            seed: of whatever is drawn.
            remembered: earlier states of it that the recipe kept.
        """
        ...


class Attached(Protocol):
    """An adapter at work. Its parameters live in the model; ``state_dict`` holds what else it knows."""

    def before_update(self, optimiser: Optimizer, now: Progress) -> None:
        """Called with the whole gradient, before it is clipped."""
        ...

    def after_update(self, optimiser: Optimizer, now: Progress) -> None:
        """Called when the weights have moved and the gradients are gone."""
        ...

    def plain_weights(self) -> dict[str, Tensor]:
        """Weights of the model as it was built, with the same output as the adapted one; nothing is changed.

        Raises:
            UserError: this adapter does not fold into the weights.
        """
        ...

    def merge(self) -> None:
        """Give the model those weights and leave it as it was built, with everything trainable that was before."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it knows beside the model's parameters and buffers, as tensors and plain numbers."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Know what an earlier one did, and train what it trained; the model's own state and the optimiser follow."""
        ...


class Selection(Protocol):
    """Decides which sequences of a collection, and which of their tokens, are trained on. A specification."""

    @property
    def needs(self) -> frozenset[str]:
        """The signals of a model that it reads."""
        ...

    @property
    def emphasises(self) -> frozenset[str]:
        """The terms of whose tokens it may say what they weigh; none where it chooses whole sequences alone."""
        ...

    def start(self, seed: int) -> SelectionSession:
        """Begin a stage, with an empty memory."""
        ...


class SelectionSession(Protocol):
    """A selection at work; its memory travels through checkpoints."""

    def __call__(self, sequences: Sequence[TrainingSequence], policy: Policy, now: Progress) -> list[TrainingSequence]:
        """A part of ``sequences``, in their order; ``"emphasis/TERM"`` may be added or change, nothing else."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, as tensors and plain numbers."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what an earlier session did."""
        ...


class Objective(Protocol):
    """A loss per token. Pure: it reads a forward pass and a batch, and never normalises."""

    @property
    def needs(self) -> frozenset[str]:
        """What it reads beside the tokens.

        Signals of the batch by name, ``"policy/NAME"`` for each frozen policy that it runs, ``"prepared/NAME"`` for
        what a :class:`Prepare` computed of the whole minibatch, ``"head/NAME"`` for a head of the stage that it reads
        in its own pass, ``"layers"`` for the states of every layer, and ``"whole groups"`` if no group may be cut.
        """
        ...

    def inert(self, sequence: TrainingSequence) -> bool:
        """Whether value and gradient are 0 on every token of ``sequence``, so that it need not pass the model."""
        ...

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]; only positions of non-zero weight are read."""
        ...


class Share(Protocol):
    """How a term's weights are normalised over the whole minibatch."""

    @property
    def counts(self) -> Literal["members", "weights"]:
        """Whether a member token counts as one, or as much as it is emphasised."""
        ...

    def denominators(
        self, members: Sequence[float], groups: Sequence[object], total: Callable[[float], float]
    ) -> list[float]:
        """The number that each sequence's member tokens are divided by.

        Args:
            members: per sequence of the term's stream on this rank, its member tokens or the sum of their emphases.
            groups: per sequence, the key of its group.
            total: sums a number over all ranks.
        """
        ...


class Prepare(Protocol):
    """Computes something of the whole minibatch before it is cut, so that no cut can change it."""

    @property
    def provides(self) -> str:
        """Its name: objectives that need ``"prepared/NAME"`` find it in ``forward.prepared[NAME]``."""
        ...

    def __call__(self, minibatch: Sequence[TrainingSequence], policy: Policy, tokens_per_microbatch: int) -> Any:
        """The quantity, detached. The policy is left as it was, its gradients too."""
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
        prepare: a quantity of the whole minibatch that the objective reads.
    """

    name: str
    objective: Objective
    over: frozenset[Origin]
    share: Share
    coefficient: Schedule | float = 1.0
    stream: str | None = None
    prepare: Prepare | None = None

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
