"""SM3: adaptive steps with one number per row and one per column of a matrix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sm3:
    """SM3-II without momentum (Anil et al., 2019, 1901.11150).

    An entry's step is ``gradient / sqrt(u + epsilon)``, where ``u`` is the square of its gradient added to the smallest
    accumulator of the slices that it lies in (its row, its column …). Each accumulator becomes the greatest ``u`` that
    its slice has seen. On a vector this is AdaGrad.

    Args:
        epsilon: added to the accumulated squares (1e-8, SpIEL's released code).
        weight_decay: per update and unit of learning rate, decoupled.
        clip_norm: the gradient's 2-norm is cut at this; infinity turns it off.
    """

    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float = 1.0

    def start(self, groups: list[dict[str, Any]]) -> Sm3Optimizer:
        """The rule with accumulators of 0."""
        return Sm3Optimizer(groups, {"lr": 0.0, "eps": self.epsilon, "weight_decay": self.weight_decay})


@dataclass(frozen=True, eq=False)
class Place:
    """Where the entries of a vector stand in a matrix.

    Args:
        rows, columns: Int["k"].
        shape: of the matrix.
    """

    rows: Tensor
    columns: Tensor
    shape: torch.Size


class Sm3Optimizer(torch.optim.Optimizer):
    """The rule at work; ``state[parameter]["axis 0"]`` and so on hold the accumulators, Float["n"] each."""

    def __init__(self, groups: list[dict[str, Any]], defaults: dict[str, Any]) -> None:
        super().__init__(groups, defaults)
        self._places: dict[nn.Parameter, Place] = {}

    def place(self, parameter: nn.Parameter, place: Place) -> None:
        """Treat a vector as entries of a matrix from now on; its accumulators stay."""
        self._places[parameter] = place

    def accumulators(self, parameter: nn.Parameter) -> tuple[Tensor, ...]:
        """The accumulators of each axis, zeros before the first update."""
        state, placed = self.state[parameter], self._places.get(parameter)
        shape = parameter.shape if placed is None else placed.shape
        for axis, size in enumerate(shape):
            if f"axis {axis}" not in state:
                state[f"axis {axis}"] = parameter.new_zeros(size)
        return tuple(state[f"axis {axis}"] for axis in range(len(shape)))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; there is no closure to evaluate."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    squares = self._accumulate(parameter, parameter.grad)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.addcmul_(parameter.grad, squares.add_(group["eps"]).rsqrt_(), value=-group["lr"])

    def _accumulate(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        """``u`` of every entry; the accumulators have taken it in."""
        squares, known, placed = gradient**2, self.accumulators(parameter), self._places.get(parameter)
        if placed is None:
            views = [_along(axis, values, squares.dim()) for axis, values in enumerate(known)]
            u = squares + functools.reduce(torch.minimum, views)
            for axis, values in enumerate(known):
                others = [a for a in range(u.dim()) if a != axis]
                values.copy_(torch.maximum(values, u.amax(others) if others else u))
            return u
        u = squares + torch.minimum(known[0][placed.rows], known[1][placed.columns])
        for values, index in zip(known, (placed.rows, placed.columns)):
            values.scatter_reduce_(0, index, u, "amax", include_self=True)
        return u


def _along(axis: int, values: Tensor, dimensions: int) -> Tensor:
    """A vector as a tensor that is broadcast over every axis but one."""
    return values.view([-1 if a == axis else 1 for a in range(dimensions)])
