"""Differences of weights: taken, compared, added to the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.types import Progress

Vector = Mapping[str, Tensor]
"""By the name of the parameter, Float of its shape, in float32 or wider; a tied parameter stands in it once."""


@torch.no_grad()
def difference(plus: Policy, minus: Policy) -> Vector:
    """``plus - minus``, entry by entry; exactly 0 where they are equal."""
    others = dict(minus.model.named_parameters())
    return {name: _wide(p.detach()) - _wide(others[name].detach()) for name, p in plus.model.named_parameters()}


@torch.no_grad()
def add(policy: Policy, vector: Vector, scale: float = 1.0) -> None:
    """Move the policy's weights by ``scale * vector``, in place; entries where it is 0 stay bit for bit."""
    for name, parameter in policy.model.named_parameters():
        parameter.copy_(_wide(parameter) + scale * vector[name])


def norms(vector: Vector) -> dict[str, float]:
    """The 2-norm per parameter."""
    return {name: float(value.norm()) for name, value in vector.items()}


def cosines(one: Vector, other: Vector) -> dict[str, float]:
    """The cosine per parameter; ``nan`` where one of the two is 0 throughout."""
    return {name: _cosine(value, other[name]) for name, value in one.items()}


def shuffled(vector: Vector, seed: int) -> Vector:
    """The same numbers in another order within each parameter: what cosines by chance are compared with."""
    mixed = {}
    for name, value in vector.items():
        order = torch.randperm(value.numel(), generator=_generator(seed, "shuffled", name)).to(value.device)
        mixed[name] = value.flatten()[order].view_as(value)
    return mixed


class Direction(Protocol):
    """What becomes of a difference before it is added."""

    def __call__(self, vector: Vector, seed: int) -> Vector:
        """The vector to add."""
        ...


@dataclass(frozen=True)
class Learned:
    """The difference itself."""

    def __call__(self, vector: Vector, seed: int) -> Vector:
        """The same."""
        return vector


@dataclass(frozen=True)
class RandomOfEqualNorm:
    """Gaussian noise with the difference's norm in every parameter: the control that only the size matters."""

    def __call__(self, vector: Vector, seed: int) -> Vector:
        """Drawn from the run's seed; 0 where the difference is 0 throughout."""
        drawn = {}
        for name, value in vector.items():
            noise = torch.randn(value.shape, generator=_generator(seed, "direction", name)).to(value)
            drawn[name] = noise * (value.norm() / noise.norm())
        return drawn


@dataclass(frozen=True)
class AddVector:
    """Add a multiple of the difference of two remembered policies to the policy.

    Args:
        plus, minus: names of the remembered policies.
        scale: the multiple.
        direction: the difference itself, or a control.
    """

    plus: str
    minus: str
    scale: float = 1.0
    direction: Learned | RandomOfEqualNorm = Learned()

    @property
    def name(self) -> str:
        """Names it in the journal."""
        return f"add {self.scale:g} x ({self.plus} - {self.minus})"

    def run(self, workspace: Workspace) -> Workspace:
        """Move the live policy.

        Raises:
            UserError: one of the two was not kept.
        """
        vector = difference(workspace.recalled(self.plus), workspace.recalled(self.minus))
        add(workspace.policy, self.direction(vector, workspace.seed), self.scale)
        return workspace


def _wide(values: Tensor) -> Tensor:
    """Small differences vanish in bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _cosine(one: Tensor, other: Tensor) -> float:
    size = float(one.norm() * other.norm())
    return float((one * other).sum()) / size if size else float("nan")


def _generator(seed: int, *names: str) -> torch.Generator:
    return Progress(0, 0, seed, ("weights",)).generator(*names)
