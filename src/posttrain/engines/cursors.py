"""Where the rows of a batch write their next token: known to the program, or on the device alone.

A step that is recorded and played again has every number baked in that the program knew; what changes from token to
token it must read from the device.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

ROOM = 32
"""Tokens that buffers grow by: what a row has not written is multiplied too."""
ROOM_RECORDED = 256
"""Tokens that they begin with where steps are recorded; then they double, as every other size is recorded anew."""


class Cursor(Protocol):
    """One place for all layers and rows: rows of a batch are equally long."""

    @property
    def length(self) -> int:
        """Tokens that every row has written."""
        ...

    def room(self) -> int:
        """Tokens that full buffers are made longer by; those of a new batch are full."""
        ...

    def write(self, buffer: Tensor, states: Tensor) -> None:
        """Put the newest keys or values, Float["r h 1 d"], into their place of Float["r h m d"]."""
        ...

    def hide_unwritten(self, products: Tensor) -> None:
        """Make the products with what is not written yet -inf, in place: Float["... m"]; the newest is written."""
        ...

    def advance(self) -> None:
        """The newest token is written in every layer."""
        ...


class ProgramCursor:
    """The program knows the place: slices, which are fastest where it waits for every product."""

    def __init__(self) -> None:
        self.length = 0

    def room(self) -> int:
        """See :class:`Cursor`."""
        return ROOM

    def write(self, buffer: Tensor, states: Tensor) -> None:
        """See :class:`Cursor`."""
        buffer[:, :, self.length : self.length + 1] = states

    def hide_unwritten(self, products: Tensor) -> None:
        """See :class:`Cursor`."""
        products[..., self.length + 1 :] = -torch.inf

    def advance(self) -> None:
        """See :class:`Cursor`."""
        self.length += 1


class DeviceCursor:
    """The place is a tensor that moves on, so that a recorded step finds it wherever it is.

    Args:
        new_tokens: that are written to a row, at most.
        device: of the buffers.
    """

    def __init__(self, new_tokens: int, device: torch.device) -> None:
        self.length = 0
        self._at = torch.zeros(1, dtype=torch.long, device=device)
        self._places = torch.arange(new_tokens, device=device)

    def room(self) -> int:
        """See :class:`Cursor`."""
        return max(ROOM_RECORDED, self.length)

    def write(self, buffer: Tensor, states: Tensor) -> None:
        """See :class:`Cursor`."""
        buffer.index_copy_(2, self._at, states.to(buffer.dtype))

    def hide_unwritten(self, products: Tensor) -> None:
        """See :class:`Cursor`."""
        products.masked_fill_(self._places[: products.shape[-1]] > self._at, -torch.inf)

    def advance(self) -> None:
        """See :class:`Cursor`. Not part of what is recorded, so that the program can count along."""
        self._at += 1
        self.length += 1
