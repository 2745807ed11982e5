"""Likelihood in contexts that lean towards the policy's own guesses, each token weighed by the losses that follow it.

Paper: Intuitive Fine-Tuning (Hua et al., 2024), 2405.11870. Supervised fine-tuning scores a token after the gold
tokens, which the policy would not always have written. Here every gold token of the context is blended, in embedding
space, with the policy's greedy guess at its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.forward import Forward
from posttrain.types import Origin, TokenBatch, TrainingSequence

SPAN = 512
"""Tokens whose discounts stand in one matrix; speed and memory only."""


@dataclass(frozen=True)
class FutureLosses:
    """A token weighs as much as its own and the discounted later losses of its row: the released code's propagation.

    ``c_t = sum over i >= t of discount^(i - t) l_i`` and ``w_t = c_t / mean(c)``. Gradients flow through the weights.

    Args:
        discount: 0 <= discount <= 1 per token; 0 makes all weights 1, as in the code, although the weights of ever
            smaller discounts go to ``l_t / mean(l)``.
    """

    discount: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no discount."""
        if not 0 <= self.discount <= 1:
            raise ValueError(f"a discount lies between 0 and 1, got {self.discount}")

    def __call__(self, losses: Tensor, members: Tensor) -> Tensor:
        """Float["b l"] losses, 0 outside Bool["b l"] members -> Float["b l"], with mean 1 over a row's members."""
        if self.discount == 0:
            return members.to(losses.dtype)
        return _with_mean_one(discounted_future(losses, self.discount), members)


@dataclass(frozen=True)
class LaterTokens:
    """The n-th token weighs n times the first: the paper's sum over positions and all their later losses, verbatim.

    The losses of token n occur once for each of the n positions up to it. That the sum is scaled to weights of mean 1
    is our reading, so that both forms share learning rates.
    """

    def __call__(self, losses: Tensor, members: Tensor) -> Tensor:
        """Float["b l"] losses, Bool["b l"] members -> Float["b l"], with mean 1 over a row's members."""
        return _with_mean_one(members.cumsum(1).to(losses.dtype), members)


@dataclass(frozen=True)
class IntuitiveLikelihood:
    """``-w log p(token | blended context)``, in nats; with the share ``PerSequence`` its sum is the method's loss.

    The blend and the weights concern a row's tokens of the origins ``over``; they must be those of the term. The table
    of embeddings that is blended is a constant: no gradient reaches it through the context.

    Args:
        blend: the guess's part of the context, 0 … 1 (0.2).
        propagation: losses to weights.
        over: the origins of the tokens that are learnt.
    """

    blend: float = 0.2
    propagation: FutureLosses | LaterTokens = FutureLosses()
    over: frozenset[Origin] = frozenset({Origin.GIVEN})
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        """Refuse what is no blend."""
        if not 0 <= self.blend <= 1:
            raise ValueError(f"a blend lies between 0 and 1, got {self.blend}")

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: a member token always has a gradient."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"], 0 on tokens of other origins."""
        members = forward.positions & torch.isin(batch.origin, batch.origin.new_tensor(sorted(self.over)))
        with torch.no_grad():
            # A pass of its own: one with gradients would keep the activations of two passes at a time.
            guesses = Forward(forward.policy, batch, members).at_logits(_likeliest)
            gold = forward.policy.embed(batch.tokens)
            guessed = forward.policy.embed(torch.where(members, guesses, batch.tokens))
            blended = torch.lerp(gold, guessed, self.blend)
        losses = torch.where(members, -forward.again(inputs=blended).logprobs, 0.0)
        return self.propagation(losses, members) * losses


def discounted_future(values: Tensor, discount: float) -> Tensor:
    """The discounted sum of each value and all later ones.

    Args:
        values: Float["b l"].
        discount: per place.

    Returns:
        Float["b l"], ``sum over i >= t of discount^(i - t) values_i``.
    """
    sums: list[Tensor] = []
    later = torch.zeros_like(values[:, :1])
    for piece in reversed(torch.split(values, SPAN, 1)):
        places = torch.arange(piece.shape[1], device=values.device)
        lag = places[:, None] - places  # of the value, by row, behind the place, by column
        weights = torch.where(lag >= 0, discount ** lag.clamp(min=0).to(values.dtype), 0.0)
        sums.append(piece @ weights + later * discount ** (len(places) - places).to(values.dtype))
        later = sums[-1][:, :1]
    return torch.cat(sums[::-1], 1)


def _with_mean_one(amounts: Tensor, members: Tensor) -> Tensor:
    amounts = torch.where(members, amounts, 0.0)
    total = amounts.sum(1, keepdim=True).clamp(min=torch.finfo(amounts.dtype).tiny)  # all-zero losses have no gradient
    return amounts / total * members.sum(1, keepdim=True)


def _likeliest(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.argmax(-1)
