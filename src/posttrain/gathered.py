"""Rows taken by their places, some of them several times, with a gradient that is summed in float32.

The keys of what a group's sequences have in common are read by all of them. torch sums the gradients of such rows in
their own type and rounds at every addition.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gathered(rows: Tensor, places: Tensor) -> Tensor:
    """Float["n ..."] and Int["m"] -> Float["m ..."]; it has a first derivative only."""
    found: Tensor = _Gathered.apply(rows, places)  # type: ignore[no-untyped-call]
    return found


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        wide = torch.promote_types(gradient.dtype, torch.float32)
        total = torch.zeros(ctx.count, *gradient.shape[1:], dtype=wide, device=gradient.device)
        return total.index_add_(0, places, gradient.to(wide)).to(gradient.dtype), None
