"""A number per row of a large matrix, computed piece by piece in both directions.

Logits are the widest tensors there are, and a quantity of theirs reads and writes such a matrix a dozen times. In
pieces that stay in the processor's cache only the matrix itself is read from memory, and of all arrays of its size only
its gradient is written, in the matrix's own type. ``benchmarks/decisions.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

NUMBERS_PER_PIECE = {"cpu": 1 << 19}
"""2 MiB in float32."""
NUMBERS_PER_PIECE_ELSEWHERE = 1 << 25
"""As many as keep a GPU busy: 128 MiB."""


def by_pieces(quantity: Callable[..., Tensor], matrix: Tensor, beside: Sequence[Tensor] = ()) -> Tensor:
    """``quantity(matrix, *beside)``, rows after rows; on the way back every piece is computed again.

    Args:
        quantity: (Float["k v"], what stands beside) -> Float["k"], of each row alone. Gradients reach the matrix only.
        matrix: Float["n v"].
        beside: further tensors of n rows each.

    Returns:
        Float["n"].

    Raises:
        RuntimeError: the quantity depends on something else that has a gradient, which would be lost; on the way back,
            a second derivative is prepared for, or it does not depend on the matrix.
    """
    found: Tensor = _ByPieces.apply(matrix, quantity, *beside)  # type: ignore[no-untyped-call]
    return found


class _ByPieces(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, matrix: Tensor, quantity: Callable[..., Tensor], *beside: Tensor) -> Tensor:
        context.save_for_backward(matrix, *beside)
        context.quantity = quantity
        with torch.enable_grad():  # so that what has a gradient is seen to have one
            values = [quantity(*(whole.detach()[rows] for whole in (matrix, *beside))) for rows in _pieces(matrix)]
        if any(value.requires_grad for value in values):
            raise RuntimeError("a quantity of logits may have a gradient in nothing but the logits")
        return torch.cat(values)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # the gradient that is computed here would not know what it came from
            raise RuntimeError("quantities of logits have a first derivative only; a second one needs Forward.logits")
        matrix, *beside = context.saved_tensors
        of_matrix = torch.empty_like(matrix)
        for rows in _pieces(matrix):
            piece = matrix[rows].detach().requires_grad_()
            with torch.enable_grad():
                values = context.quantity(piece, *(whole[rows].detach() for whole in beside))
            (of_matrix[rows],) = torch.autograd.grad(values, piece, gradient[rows])
        return of_matrix, None, *(None for _ in beside)


def _pieces(matrix: Tensor) -> Iterator[slice]:
    numbers = NUMBERS_PER_PIECE.get(matrix.device.type, NUMBERS_PER_PIECE_ELSEWHERE)
    size = max(1, numbers // matrix.shape[1])
    # At least one, so that a matrix without rows has a quantity of the right type.
    return (slice(at, at + size) for at in range(0, max(1, len(matrix)), size))
