"""Where a sparse adapter grows new entries: by gradients seen over a few updates, or by what SM3 has accumulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from posttrain.adapters.sparse_delta import SparseDelta, SparseDeltas, Watch, largest
from posttrain.errors import UserError
from posttrain.optimisers.per_entry import PerEntryAdamWOptimizer, bias_correction
from posttrain.optimisers.sm3 import Place, Sm3Optimizer


@dataclass(frozen=True, eq=False)
class Grown:
    """Entries of one weight that are to be grown.

    Args:
        indices: Int["n"], positions in the flattened weight.
        gradients: Float["n"], the mean of what was seen of their gradients.
        squares: Float["n"], the mean of the squares.
        updates: how many updates that was.
    """

    indices: Tensor
    gradients: Tensor
    squares: Tensor
    updates: int

    def at(self, chosen: Tensor) -> Grown:
        """Some of them."""
        return Grown(self.indices[chosen], self.gradients[chosen], self.squares[chosen], self.updates)


class Growth(Protocol):
    """A criterion. A specification."""

    def start(self, deltas: SparseDeltas) -> GrowthSession:
        """Begin a stage, having seen nothing."""
        ...


class GrowthSession(Protocol):
    """A criterion at work; what it has seen travels through checkpoints."""

    def open(self) -> None:
        """Look at the updates from here on."""
        ...

    def close(self) -> None:
        """Forget what was seen, and look no more."""
        ...

    def observe(self, optimiser: torch.optim.Optimizer) -> None:
        """Called before every update, with its whole gradient."""
        ...

    def best(self, optimiser: torch.optim.Optimizer, name: str, dropped: Tensor, count: int) -> Grown:
        """At most ``count`` entries of a weight that are not trained, or are among those that are dropped.

        Args:
            optimiser: the stage's.
            name: of the weight.
            dropped: Int["m"], the entries that would make room, by their place in the delta.
            count: how many at most.
        """
        ...

    def seed(self, optimiser: torch.optim.Optimizer, name: str, slots: Tensor, grown: Grown) -> None:
        """Give the optimiser the memory of entries that have just been grown.

        Args:
            optimiser: the stage's.
            name: of the weight.
            slots: Int["n"], their places in the delta.
            grown: the entries.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What was seen, as tensors and plain numbers."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have seen what an earlier session did."""
        ...


@dataclass(frozen=True)
class ByGradients:
    """Grow where gradients, summed over the updates of a phase, are largest (SpIEL-AG).

    The entries of the largest gradient in a phase's first update are candidates, as many as are trained; only theirs
    are followed. A whole gradient is held for that one update, the whole of it, so that no cut into micro-batches
    changes what is chosen. Gradients are taken before they are cut at a norm.
    """

    def start(self, deltas: SparseDeltas) -> GradientsSeen:
        """Nothing seen yet."""
        return GradientsSeen(deltas)


@dataclass
class Followed:
    """The candidates of one weight.

    Args:
        indices: Int["k"], ascending positions in the flattened weight.
        sums: Float["k"], of their gradients over updates.
        squares: Float["k"], of the squares.
        updates: how many.
    """

    indices: Tensor
    sums: Tensor
    squares: Tensor
    updates: int


@dataclass(eq=False)
class GradientsSeen:
    """Gradients of a phase: whole ones in its first update, the candidates' afterwards.

    Args:
        deltas: what is trained.
        followed: by the name of the weight, once a gradient was seen.
    """

    deltas: SparseDeltas
    followed: dict[str, Followed] = field(default_factory=dict)

    def open(self) -> None:
        """Look at every update."""
        for name, delta in self.deltas.deltas.items():
            delta.watch = Watch(self.deltas.weights[name])

    def close(self) -> None:
        """Forget, and let updates be."""
        for delta in self.deltas.deltas.values():
            delta.watch = None
        self.followed = {}

    def observe(self, optimiser: torch.optim.Optimizer) -> None:
        """Choose the candidates, or add to their sums; an update without a gradient counts once there are some.

        Raises:
            UserError: the memory of the stage's optimiser cannot be set for a single entry.
        """
        if not isinstance(optimiser, SEEDED):
            raise UserError(f"{type(optimiser).__name__} cannot take in new entries; use AdamW, PerEntryAdamW or Sm3")
        for name, delta in self.deltas.deltas.items():
            if delta.watch is None:
                continue
            gradient = delta.watch.take()
            if name in self.followed:
                found = self.followed[name]
                gradient = torch.zeros_like(found.sums) if gradient is None else gradient
                found.sums.add_(gradient)
                found.squares.addcmul_(gradient, gradient)
                found.updates += 1
            elif gradient is not None:
                indices = largest(gradient.abs(), len(delta.indices))
                self._follow(name, Followed(indices, gradient[indices], gradient[indices] ** 2, 1))

    def _follow(self, name: str, found: Followed) -> None:
        self.followed[name] = found
        self.deltas.deltas[name].watch = Watch(self.deltas.weights[name], found.indices)

    def best(self, optimiser: torch.optim.Optimizer, name: str, dropped: Tensor, count: int) -> Grown:
        """Those with the largest sums, entries that stay trained left out."""
        delta, found = self.deltas.deltas[name], self.followed.get(name)
        if found is None:
            return _nothing(delta)
        staying = torch.ones_like(delta.indices, dtype=torch.bool)
        staying[dropped] = False
        free = (~torch.isin(found.indices, delta.indices[staying])).nonzero()[:, 0]
        chosen, n = free[largest(found.sums[free].abs(), min(count, len(free)))], found.updates
        return Grown(found.indices, found.sums / n, found.squares / n, n).at(chosen)

    def seed(self, optimiser: torch.optim.Optimizer, name: str, slots: Tensor, grown: Grown) -> None:
        """Moments as if the optimiser had seen the phase's gradients."""
        seed_moments(optimiser, self.deltas.deltas[name], slots, grown)

    def state_dict(self) -> dict[str, Any]:
        """The candidates of each weight; between updates nothing is gathered."""
        return {name: dict(vars(found)) for name, found in self.followed.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Follow the same candidates."""
        for name, found in state.items():
            self._follow(name, Followed(**self._restored(name, found)))

    def _restored(self, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
        device = self.deltas.deltas[name].base.device
        return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in found.items()}


SEEDED = (torch.optim.AdamW, PerEntryAdamWOptimizer, Sm3Optimizer)
"""Optimisers whose memory :func:`seed_moments` knows."""


def seed_moments(optimiser: torch.optim.Optimizer, delta: SparseDelta, slots: Tensor, grown: Grown) -> None:
    """Let the moments of new entries, corrected for bias, be the means of what was seen; all others are left alone.

    Where an optimiser keeps no age per entry, as plain AdamW, new entries are as old as the others: their seeds fade
    more slowly than they should. SM3 remembers rows and columns and nothing of an entry.
    """
    if isinstance(optimiser, Sm3Optimizer):
        return
    state = optimiser.state[delta.values]
    if isinstance(optimiser, PerEntryAdamWOptimizer):
        state["age"][slots] = float(grown.updates)
        age = state["age"][slots]
    else:
        age = state["step"].to(delta.base).expand(len(slots))
    group = next(g for g in optimiser.param_groups if any(p is delta.values for p in g["params"]))
    for name, mean, beta in zip(("exp_avg", "exp_avg_sq"), (grown.gradients, grown.squares), group["betas"]):
        state[name][slots] = mean * bias_correction(beta, age)


@dataclass(frozen=True)
class ByMoments:
    """Grow where SM3's accumulators promise large gradients: at the greatest products of row and column (SpIEL-MA).

    The stage's optimiser has to be :class:`posttrain.optimisers.sm3.Sm3`. Positions whose row or column has never had a
    gradient are not grown, so fewer entries than planned may be replaced.
    """

    def start(self, deltas: SparseDeltas) -> MomentsSeen:
        """The optimiser remembers; there is nothing to begin with."""
        return MomentsSeen(deltas)


@dataclass(frozen=True, eq=False)
class MomentsSeen:
    """Reads what SM3 remembers.

    Args:
        deltas: what is trained, entries of matrices.
    """

    deltas: SparseDeltas

    def open(self) -> None:
        """Nothing; SM3 sees every update."""

    def close(self) -> None:
        """Nothing."""

    def observe(self, optimiser: torch.optim.Optimizer) -> None:
        """Tell the optimiser where the entries stand."""
        for name, delta in self.deltas.deltas.items():
            shape = self.deltas.weights[name].shape
            _sm3(optimiser).place(delta.values, Place(delta.indices // shape[1], delta.indices % shape[1], shape))

    def best(self, optimiser: torch.optim.Optimizer, name: str, dropped: Tensor, count: int) -> Grown:
        """Those with the greatest products, entries that are trained left out, the dropped ones too."""
        delta = self.deltas.deltas[name]
        scores = torch.outer(*_sm3(optimiser).accumulators(delta.values)).flatten()
        scores[delta.indices] = 0.0
        found = largest(scores, min(count, int((scores > 0).sum())))
        unknown = torch.full_like(scores[found], torch.nan)
        return Grown(found, unknown, unknown, 0)

    def seed(self, optimiser: torch.optim.Optimizer, name: str, slots: Tensor, grown: Grown) -> None:
        """Nothing: rows and columns are remembered, entries are not."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the optimiser's memory."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def _sm3(optimiser: torch.optim.Optimizer) -> Sm3Optimizer:
    if not isinstance(optimiser, Sm3Optimizer):
        raise UserError(
            f"growth by moments reads what SM3 remembers, and {type(optimiser).__name__} is another optimiser"
        )
    return optimiser


def _nothing(delta: SparseDelta) -> Grown:
    return Grown(delta.indices[:0], delta.base[:0], delta.base[:0], 0)
