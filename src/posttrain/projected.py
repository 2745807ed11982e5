"""From what a head projects to logits, and to quantities of them; none of it knows the pass that it came from.

Backward passes hold these functions. Did they hold the view of the pass as well, view and graph would hold each other
until the program looks for cycles, with all their logits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Finished = Callable[[Tensor], Tensor]
"""Float["n v"] projected -> Float["n v"] logits."""
OfTwo = Callable[[Tensor, Tensor], Tensor]


def tempered(finished: Finished, projected: Tensor, temperature: Tensor) -> Tensor:
    """Float["n v"] and Float["n"] -> Float["n v"] logits, divided by the temperature of each row."""
    logits = finished(projected)
    return logits / temperature[:, None].to(logits.dtype)


def untempered(finished: Finished, projected: Tensor, _: Tensor) -> Tensor:
    """The same where all temperatures are 1."""
    return finished(projected)


def of_logits(quantity: OfTwo, logits: OfTwo, projected: Tensor, temperature: Tensor, tokens: Tensor) -> Tensor:
    """Float["n"]: a quantity of logits and tokens."""
    return quantity(logits(projected, temperature), tokens)


def of_both(
    quantity: OfTwo, logits: OfTwo, others: OfTwo, projected: Tensor, temperature: Tensor, _: Tensor, theirs: Tensor
) -> Tensor:
    """Float["n"]: a quantity of the logits of two heads."""
    return quantity(logits(projected, temperature), others(theirs, temperature))


def entropy(logits: Tensor, _: Tensor) -> Tensor:
    """Float["n"]: in nats, of each row's distribution."""
    logprobs = torch.log_softmax(logits, -1)
    return -(logprobs.exp() * logprobs).sum(-1)
