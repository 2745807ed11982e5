"""The distance to an undesirable neighbour: representations that a harmful small step would not change.

Paper: Learning from the Undesirable (Nam et al., 2025), 2511.13052. A :class:`~posttrain.protocols.Prepare` finds the
neighbour once per minibatch, by one normalised step that raises the loss on another draw of the training set; the
objective is the distance between the neighbour's hidden states and the model's own. The step is a constant (first
order, as in sharpness-aware minimisation) and the model's own states are the target, so that gradients flow through the
neighbour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from posttrain.batching import PerToken, collate, microbatches, weigh
from posttrain.blocks import pushed
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.signals import LAYERS
from posttrain.types import Origin, TokenBatch, TrainingSequence

NEIGHBOUR = "neighbour"
"""Under this name the parts below prepare what :class:`StateDistance` reads."""
WRITTEN = frozenset({Origin.GIVEN, Origin.SAMPLED})
"""The tokens whose likelihood is lowered to find the neighbour."""


class Neighbour(Protocol):
    """A model near the one that is trained."""

    def layers(self, forward: Forward) -> tuple[Tensor, ...]:
        """Its states, like :attr:`posttrain.forward.Forward.layers`, for the batch of ``forward``."""
        ...


@dataclass(frozen=True, eq=False)
class MovedWeights:
    """The model with other weights.

    Args:
        steps: what is added to each trainable parameter, by name.
    """

    steps: Mapping[str, Tensor]

    def layers(self, forward: Forward) -> tuple[Tensor, ...]:
        """The states under the moved weights, whose gradients are gradients of the weights."""
        own = forward.policy.named_trainable()
        return forward.again(parameters={name: p + self.steps[name] for name, p in own.items()}).layers


@dataclass(frozen=True, eq=False)
class MovedStates:
    """The model with something added to the states after every layer, at every token.

    Args:
        steps: Float["d"] per entry of ``layers``, the embeddings' first.
    """

    steps: tuple[Tensor, ...]

    def layers(self, forward: Forward) -> tuple[Tensor, ...]:
        """The moved states; what a layer is moved by, all later ones have read."""
        embedded = forward.policy.embed(forward.batch.tokens) + self.steps[0]
        with pushed(forward.policy, self.steps[1:-1]):
            first, *later = forward.again(inputs=embedded).layers
        return (first, *(states + step for states, step in zip(later, self.steps[1:], strict=True)))


@dataclass(frozen=True)
class AscentInWeights:
    """All trainable weights together make one step of gradient ascent: the form of the released code for LoRA.

    Args:
        length: 2-norm of the step (0.1).
        stream: the loss that rises is that of this stream's sequences in the minibatch.
    """

    length: float = 0.1
    stream: str = "undesirable"
    provides = NEIGHBOUR

    def __call__(
        self, minibatch: Sequence[TrainingSequence], policy: Policy, tokens_per_microbatch: int
    ) -> MovedWeights:
        """The neighbour.

        Raises:
            UserError: the minibatch has no sequence of the stream.
        """
        own = policy.named_trainable()
        ascent = [torch.zeros_like(p) for p in own.values()]
        for batch, weights in _pieces(minibatch, self.stream, policy, tokens_per_microbatch):
            loss = _loss(Forward(policy, batch, weights != 0), weights)
            # Not backward: what was accumulated before stays as it is.
            found = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
            ascent = [total if new is None else total + new for total, new in zip(ascent, found)]
        return MovedWeights(dict(zip(own, _of_length(ascent, self.length))))


@dataclass(frozen=True)
class AscentInStates:
    """A step of gradient ascent in vectors that are added to every layer's states: the paper's LfU-RepS.

    The vectors start from zero in every minibatch. That the last of them is added after the final norm, where the
    library's last states are, is our reading.

    Args:
        length: 2-norm of the step, all layers together (0.1).
        stream: the loss that rises is that of this stream's sequences in the minibatch.
    """

    length: float = 0.1
    stream: str = "undesirable"
    provides = NEIGHBOUR

    def __call__(
        self, minibatch: Sequence[TrainingSequence], policy: Policy, tokens_per_microbatch: int
    ) -> MovedStates:
        """The neighbour.

        Raises:
            UserError: the minibatch has no sequence of the stream.
        """
        ascent: list[Tensor] = []
        for batch, weights in _pieces(minibatch, self.stream, policy, tokens_per_microbatch):
            # Adding a vector at every token has the sum of the tokens' gradients. Embeddings that are inputs of their
            # own have one even where the table is not trained.
            inputs = policy.embed(batch.tokens).detach().requires_grad_()
            forward = Forward(policy, batch, weights != 0, inputs=inputs, keeps_layers=True)
            found = [g.sum((0, 1)) for g in torch.autograd.grad(_loss(forward, weights), forward.layers)]
            ascent = [total + new for total, new in zip(ascent, found)] if ascent else found
        return MovedStates(tuple(_of_length(ascent, self.length)))


@dataclass(frozen=True)
class RandomInWeights:
    """A step of the same length in a direction that means nothing: the control for both ascents.

    Args:
        length: 2-norm of the step (0.1).
    """

    length: float = 0.1
    provides = NEIGHBOUR

    def __call__(
        self, minibatch: Sequence[TrainingSequence], policy: Policy, tokens_per_microbatch: int
    ) -> MovedWeights:
        """The neighbour, a function of the minibatch and of nothing else."""
        numbers = torch.Generator().manual_seed(min(s.uid for s in minibatch))
        own = policy.named_trainable()
        drawn = [torch.randn(p.shape, generator=numbers, dtype=p.dtype).to(p.device) for p in own.values()]
        return MovedWeights(dict(zip(own, _of_length(drawn, self.length))))


@dataclass(frozen=True)
class StateDistance:
    """The mean squared difference of the neighbour's states from the model's own, over coordinates and layers.

    The mean over coordinates is the released code's, where the paper writes a sum; coefficients belong to the mean.
    Index t is the state after token t has been read, as in the code, which does not shift its mask.

    Args:
        first_layer: the first that counts; 0 are the embeddings.
        last_layer: the last that counts; ``None`` is the model's last, normed.
    """

    first_layer: int = 0
    last_layer: int | None = None
    needs = frozenset({LAYERS, f"prepared/{NEIGHBOUR}"})

    def __post_init__(self) -> None:
        """Refuse a range without layers, which would be a term without effect."""
        if self.first_layer < 0 or (self.last_layer is not None and self.last_layer < self.first_layer):
            raise ValueError(f"layers run from first_layer >= 0 to last_layer >= first_layer, got {self}")

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], in float32 or wider, 0 outside the positions that are read.

        Raises:
            UserError: the model does not have that many layers.
        """
        own, at = forward.layers, forward.positions
        last = len(own) - 1 if self.last_layer is None else self.last_layer
        if not self.first_layer <= last < len(own):
            raise UserError(
                f"the model has {len(own) - 1} layers; {self} asks for others, choose from 0 to {len(own) - 1}"
            )
        theirs = forward.prepared[NEIGHBOUR].layers(forward)
        distances = [_distance(theirs[k][at], own[k][at].detach()) for k in range(self.first_layer, last + 1)]
        mean = torch.stack(distances).mean(0)
        return torch.zeros(at.shape, dtype=mean.dtype, device=mean.device).masked_scatter(at, mean)


def _distance(moved: Tensor, target: Tensor) -> Tensor:
    wide = torch.promote_types(moved.dtype, torch.float32)  # squares of small differences vanish in bfloat16
    return (moved.to(wide) - target.to(wide)).square().mean(-1)


def _pieces(
    minibatch: Sequence[TrainingSequence], stream: str, policy: Policy, tokens_per_microbatch: int
) -> Iterator[tuple[TokenBatch, Tensor]]:
    """Micro-batches of a stream with weights that make their losses sum to the token mean."""
    rows = [s for s in minibatch if s.stream == stream]
    if not rows:
        raise UserError(
            f"no sequence of stream {stream!r} is in the minibatch; give the stage such a stream, and let an update "
            "take the whole collection (groups_per_update=None)"
        )
    term = Term("ascent", CrossEntropy(), WRITTEN, PerToken())
    for piece in microbatches(weigh(rows, [term], float), tokens_per_microbatch):
        batch = collate(piece, policy.text.end, policy.device)
        yield batch, batch.weights[term.name]


def _loss(forward: Forward, weights: Tensor) -> Tensor:
    return -(forward.logprobs * weights.to(forward.logprobs.dtype)).sum()


def _of_length(parts: Sequence[Tensor], length: float) -> list[Tensor]:
    """The parts of one long vector, scaled together; a vector of zeros stays one."""
    norm = torch.stack([part.square().sum() for part in parts]).sum().sqrt()
    return [part / norm.clamp(min=torch.finfo(norm.dtype).tiny) * length for part in parts]
