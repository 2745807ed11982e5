"""How an engine writes, and what it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class LogitsRule(Protocol):
    """Changes how the next token is chosen, from the text so far."""

    def __call__(self, logits: Tensor, texts: Sequence[Tensor]) -> Tensor:
        """Other logits.

        Args:
            logits: Float["r v"] of the next token of each row.
            texts: per row Int["l"], prompt and everything written after it.

        Returns:
            Float["r v"]; the arguments are left as they are.
        """
        ...


@dataclass(frozen=True)
class Sampling:
    """How an engine writes.

    Args:
        temperature: 0 is greedy; training needs a value above 0.
        max_new_tokens: the longest continuation, end-of-sequence token included.
        rules: applied to the logits in this order before the temperature; the log-probabilities of what is sampled are
            those after them.

    Nothing here truncates the distribution (no top-p, no top-k): training on truncated samples with an importance
    ratio is biased.
    """

    temperature: float = 1.0
    max_new_tokens: int = 1024
    rules: tuple[LogitsRule, ...] = ()

    def __post_init__(self) -> None:
        """Refuse settings that cannot sample."""
        if self.temperature < 0:
            raise ValueError(f"temperature cannot be negative, got {self.temperature}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


@dataclass(frozen=True, eq=False)
class Completion:
    """What an engine wrote after one prompt.

    Args:
        tokens: Int["k"], the end-of-sequence token included where it was written.
        logprobs: Float["k"], under the sampling policy at the sampling temperature (greedy: at temperature 1).
        stopped: whether the end-of-sequence token was written before the length ran out.
    """

    tokens: Tensor
    logprobs: Tensor
    stopped: bool
