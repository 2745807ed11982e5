"""Budget forcing, the baseline of every gentler way to make a model stop: cut its thinking off, or forbid it to stop.

Source: s1: Simple test-time scaling (arXiv 2501.19393), which ends the thinking after a number of tokens, and writes
"Wait" where the model would have ended it too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.decoding.thinking import Thinking

IMPOSSIBLE = float("-inf")


@dataclass(frozen=True)
class BudgetForcing:
    """Between ``least`` and ``most`` tokens of thinking.

    Of a stop marker of several tokens all are forced, one after the other, and only the last is withheld: what merely
    begins like the marker may be written. Where both budgets speak, because all but the last token of a marker
    have come too early, the lower one is kept, and the thinking may be longer than the upper one by as many tokens. An
    end-of-sequence token within the thinking is not withheld, and a start marker within it begins the count anew.

    Args:
        thinking: what is counted, between two markers.
        most: the stop marker is forced after this many tokens of thinking; ``None``: never.
        least: the thinking cannot end before it has this many tokens.
        instead: the token, such as that of ``Wait``, that takes the place of a withheld stop token: it gets the stop
            token's logit where that is higher than its own, which is what s1 does when it decodes greedily, as it
            does; ``None`` leaves the choice to the other tokens.

    Raises:
        ValueError: a negative number, more at least than at most, or a thinking without a beginning to count from.
    """

    thinking: Thinking
    most: int | None = None
    least: int = 0
    instead: int | None = None

    def __post_init__(self) -> None:
        """Refuse budgets that cannot be kept."""
        if self.thinking.start is None:
            raise ValueError("a budget is counted from the marker that begins the thinking; give thinking a start")
        if self.least < 0 or (self.most is not None and self.most < self.least):
            raise ValueError(f"a budget needs 0 <= least <= most, got least={self.least} and most={self.most}")
        if self.instead == self.thinking.stop[-1]:
            raise ValueError("the token written instead of the stop token must be another one")

    def __call__(self, logits: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """Float["r v"] -> Float["r v"]; see :class:`posttrain.sampling.LogitsRule`."""
        stretch = self.thinking.stretch(texts)
        changed = logits.clone()
        early = stretch.open & (stretch.thought < self.least) & (stretch.matched == len(self.thinking.stop) - 1)
        self._withhold(changed, early)
        if self.most is not None:
            # With what may become the marker counted, so that no false start of it can exceed the budget.
            late = (stretch.open & ~early & (stretch.thought + stretch.matched >= self.most)).nonzero()[:, 0]
            changed[late] = IMPOSSIBLE
            changed[late, stretch.following[late]] = 0.0
        return changed

    def _withhold(self, logits: Tensor, early: Tensor) -> None:
        stop = self.thinking.stop[-1]
        if self.instead is not None:
            taken = torch.maximum(logits[early, self.instead], logits[early, stop])
            logits[early, self.instead] = taken
        logits[early, stop] = IMPOSSIBLE
