"""Temperature scaling of the stop token: a thinking model learns to stop without being trained.

Source: Making Small Language Models Efficient Reasoners (arXiv 2505.07961). Its public texts say that only the logit of
the token that ends the thinking is changed, to raise its probability; they do not give the formula. The laws below are
our reading, and so is that, of a marker of several tokens, the one that would begin or go on with it is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.decoding.thinking import Thinking


@dataclass(frozen=True)
class Shifted:
    """``highest + T (stop - highest)``: a smaller T never makes the stop token less likely, whatever the logits' signs.

    At 1 nothing changes; towards 0 the stop token ties with the most likely one; above 1 it becomes less likely.

    Args:
        temperature: T, above 0 (our grid: 1, 0.95, 0.9, 0.8).
    """

    temperature: float = 0.9

    def __post_init__(self) -> None:
        """Refuse a temperature that is none."""
        if not self.temperature > 0:
            raise ValueError(f"a stop temperature lies above 0, got {self.temperature}")

    def __call__(self, stop: Tensor, highest: Tensor) -> Tensor:
        """Float["n"] logits of the stop token and Float["n"] highest logits -> Float["n"] the stop token's new ones."""
        # Written so that T = 1 gives the very same number; a token that is forbidden stays so.
        return torch.where(stop.isfinite(), stop + (1 - self.temperature) * (highest - stop), stop)


@dataclass(frozen=True)
class Raw:
    """``stop / T``, to the letter: below 1 it raises a positive logit, and *lowers* a negative one.

    Args:
        temperature: T, above 0.
    """

    temperature: float = 0.9

    def __post_init__(self) -> None:
        """Refuse a temperature that is none."""
        if not self.temperature > 0:
            raise ValueError(f"a stop temperature lies above 0, got {self.temperature}")

    def __call__(self, stop: Tensor, highest: Tensor) -> Tensor:
        """As for :class:`Shifted`; the highest logits do not matter."""
        return stop / self.temperature


@dataclass(frozen=True)
class Additive:
    """``stop + bonus``: the odds of stopping are multiplied by ``exp(bonus)``.

    Args:
        bonus: in nats; 0 changes nothing.
    """

    bonus: float = 1.0

    def __call__(self, stop: Tensor, highest: Tensor) -> Tensor:
        """As for :class:`Shifted`; the highest logits do not matter."""
        return stop + self.bonus


@dataclass(frozen=True)
class StopTemperature:
    """While a text is thinking, change the logit of the token that ends the thinking, and no other.

    A text that is not thinking, or not any more, keeps its logits bit for bit. As every rule, it comes before the
    sampling temperature. What it writes is not written by the policy alone: it is made for evaluation, and training
    on it is off-policy.

    Args:
        thinking: where it acts, and the stop token.
        law: how the logit changes.
    """

    thinking: Thinking
    law: Shifted | Raw | Additive = Shifted()

    def __call__(self, logits: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """Float["r v"] -> Float["r v"]; see :class:`posttrain.sampling.LogitsRule`."""
        stretch = self.thinking.stretch(texts)
        rows = stretch.open.nonzero()[:, 0]
        stop = stretch.following[rows]
        changed = logits.clone()
        changed[rows, stop] = self.law(logits[rows, stop], logits[rows].amax(-1))
        return changed
