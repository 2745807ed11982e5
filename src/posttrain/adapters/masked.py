"""Train a fixed share of a model's entries: those that dense training moved most, the largest, or any."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from posttrain.adapters.sparse_delta import SparseDeltas, attach_deltas, largest
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress


class Entries(Protocol):
    """Which entries are trained."""

    def __call__(
        self, parameters: Mapping[str, Tensor], count: int, seed: int, remembered: Mapping[str, Policy]
    ) -> Tensor:
        """Int["k"], at most ``count`` different positions in all ``parameters``, flattened and joined in their order.

        Args:
            parameters: those that may be trained.
            count: how many entries.
            seed: of whatever is drawn.
            remembered: earlier states of the model that the recipe kept.
        """
        ...


@dataclass(frozen=True)
class MostMoved:
    """Those that moved most between two remembered states (LT-SFT, 2110.07560), compared over all parameters at once.

    Args:
        moved_from: the state before.
        moved_to: the state after; of several, each adds an equal part of the entries, those that it moved most among
            the ones that are not chosen yet.
    """

    moved_from: str = "pretrained"
    moved_to: tuple[str, ...] = ("dense",)

    def __call__(
        self, parameters: Mapping[str, Tensor], count: int, seed: int, remembered: Mapping[str, Policy]
    ) -> Tensor:
        """The greatest absolute differences in float32, of equal ones the first; ``count`` rounded down to equal parts.

        Raises:
            UserError: the recipe kept no such state, or nothing moved, so that there is nothing to choose by.
        """
        before = _joined(_recalled(remembered, self.moved_from), parameters)
        chosen = torch.zeros(0, dtype=torch.long, device=before.device)
        for name in self.moved_to:
            moved = (_joined(_recalled(remembered, name), parameters) - before).abs()
            if count < len(moved) and not bool(moved.any()):
                raise UserError(f"no weight differs between {self.moved_from!r} and {name!r}; train densely for longer")
            moved[chosen] = -1.0
            chosen = torch.cat([chosen, largest(moved, count // len(self.moved_to))])
        return chosen


@dataclass(frozen=True)
class Largest:
    """Those of the largest absolute value."""

    def __call__(
        self, parameters: Mapping[str, Tensor], count: int, seed: int, remembered: Mapping[str, Policy]
    ) -> Tensor:
        """Of equal ones the first."""
        return largest(_joined(parameters, parameters).abs(), count)


@dataclass(frozen=True)
class AtRandom:
    """Any, each with the same probability: the baseline of every choice (and SHiRA's random mask, 2406.13175)."""

    def __call__(
        self, parameters: Mapping[str, Tensor], count: int, seed: int, remembered: Mapping[str, Policy]
    ) -> Tensor:
        """A draw that depends on the seed alone."""
        total = sum(p.numel() for p in parameters.values())
        return torch.randperm(total, generator=Progress(0, 0, seed, ("adapter",)).generator("entries"))[:count]


@dataclass(frozen=True)
class Masked:
    r"""Sparse fine-tuning with a fixed support.

    Args:
        density: share of the entries of the parameters named by ``names`` that is trained, above 0 and at most 1; the
            number is rounded down and met exactly.
        entries: which ones.
        names: a regular expression that is searched in the names of parameters; the empty one finds all.
        l1: coefficient of the mean absolute distance from ``l1_towards`` (LT-SFT's regulariser: the sum over what is
            trained, divided by the number of all parameters of the model); it acts through its gradient and is no part
            of the reported loss.
        l1_towards: the remembered state that ``l1`` draws to; ``None``: the weights as they are when the stage begins.
    """

    density: float
    entries: MostMoved | Largest | AtRandom = MostMoved()
    names: str = ""
    l1: float = 0.0
    l1_towards: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 < self.density <= 1:
            raise ValueError(f"density is a share of the entries, above 0 and at most 1, got {self.density}")
        if self.l1 < 0:
            raise ValueError(f"l1 cannot be negative, got {self.l1}")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedMasked:
        """Freeze everything but the chosen entries.

        Raises:
            UserError: no parameter has such a name, the share is less than one entry, or a state was not kept.
        """
        parameters = {n: p.detach() for n, p in policy.named_trainable().items() if re.search(self.names, n)}
        if not parameters:
            some = ", ".join(list(policy.named_trainable())[:3])
            raise UserError(f"no parameter's name matches {self.names!r}; the model has names such as {some}")
        total = sum(p.numel() for p in parameters.values())
        count = int(self.density * total)
        if not count:
            raise UserError(f"a density of {self.density} of {total} entries is not a single one; raise it")
        strength = self.l1 / policy.parameters_count
        chosen = _apart(self.entries(parameters, count, seed, remembered), parameters)
        towards = None if self.l1_towards is None else _recalled(remembered, self.l1_towards)
        return AttachedMasked(attach_deltas(policy.model, chosen), strength, towards)


@dataclass(eq=False)
class AttachedMasked:
    """A fixed support at work.

    Args:
        deltas: the entries.
        l1: coefficient of the sum of absolute distances.
        towards: by the name of the parameter, the whole weight that its entries are drawn to; ``None``: the entries as
            they were.
    """

    deltas: SparseDeltas
    l1: float
    towards: Mapping[str, Tensor] | None = None

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Add the gradient of the absolute distances."""
        if not self.l1:
            return
        for name, delta in self.deltas.deltas.items():
            if delta.values.grad is not None:
                towards = delta.base if self.towards is None else self.towards[name].flatten()[delta.indices]
                distance = delta.base + delta.values.detach() - towards
                delta.values.grad.add_(distance.sign(), alpha=self.l1)

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Bring the weights up to date."""
        self.deltas.write()

    def plain_weights(self) -> dict[str, Tensor]:
        """The weights hold the changes already."""
        return self.deltas.plain_weights()

    def merge(self) -> None:
        """Keep the changes, and let everything be trained again that could be before."""
        self.deltas.merge()

    def state_dict(self) -> dict[str, Any]:
        """The positions, by the name of the parameter; the changes are parameters of the model."""
        return {"support": {name: delta.indices for name, delta in self.deltas.deltas.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Stand where another one did: on the weights of later, other entries would have been chosen."""
        device = next(self.deltas.model.parameters()).device
        self.deltas.merge()
        support = {name: indices.to(device) for name, indices in state["support"].items()}
        self.deltas = attach_deltas(self.deltas.model, support)
        self.deltas.write_when_loaded()


def _recalled(remembered: Mapping[str, Policy], name: str) -> dict[str, Tensor]:
    if name not in remembered:
        raise UserError(f"no part of the recipe kept the policy {name!r}; put Keep({name!r}) before the sparse stage")
    return {n: p.detach() for n, p in remembered[name].model.named_parameters()}


def _joined(state: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Tensor:
    """Float["n"]: the entries of ``state`` under the names of ``parameters``, in float32 or wider."""
    parts = [state[name].flatten() for name in parameters]
    return torch.cat([part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts])


def _apart(positions: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Positions in the joined parameters as ascending positions in each; parameters without any are left out."""
    chosen, first = {}, 0
    for name, parameter in parameters.items():
        inside = positions[(positions >= first) & (positions < first + parameter.numel())]
        if len(inside):
            chosen[name] = (inside - first).sort().values.to(parameter.device)
        first += parameter.numel()
    return chosen
