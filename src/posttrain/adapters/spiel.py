"""Sparse deltas of fixed size whose entries are dropped and regrown while they are trained."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from posttrain.adapters.growth import ByGradients, ByMoments, GrowthSession
from posttrain.adapters.sparse_delta import SparseDeltas, attach_deltas
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"a share of the entries lies between 0 and 1, got {share}")


class Replacement(Protocol):
    """How many entries are replaced."""

    def share(self, done: float, first: bool) -> float:
        """The share of a weight's entries, 0 to 1.

        Args:
            done: the part of the stage that is over, 0 to 1.
            first: whether nothing was replaced before.
        """
        ...


@dataclass(frozen=True)
class LinearReplacement:
    """Falls linearly to 0; the first replacement may reconsider everything, because the entries were drawn at random.

    Args:
        at_first: share at the first replacement (1, released code).
        initial: what later shares fall from (0.2, released code).
    """

    at_first: float = 1.0
    initial: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        _check_share(self.at_first)
        _check_share(self.initial)

    def share(self, done: float, first: bool) -> float:
        """``initial * (1 - done)``."""
        return self.at_first if first else self.initial * (1 - done)


@dataclass(frozen=True)
class CosineReplacement:
    """Falls to 0 along half a cosine, the first replacement included.

    Args:
        initial: what it falls from (0.2, released code).
    """

    initial: float = 0.2

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        _check_share(self.initial)

    def share(self, done: float, first: bool) -> float:
        """``initial * (1 + cos(pi * done)) / 2``."""
        return self.initial * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Spiel:
    """Sparse fine-tuning that looks for its support while it trains (SpIEL, 2401.16405).

    Entries are drawn at random for every matrix of the trunk but the embeddings, in proportion to its size. Updates are
    counted in phases of ``every``; after the first ``looking`` updates of a phase the entries that changed least since
    they were grown are dropped, with their change and the optimiser's memory of them, and others are grown from 0.

    Args:
        density: entries relative to all parameters of the model (0.01, released code); a matrix gets its part rounded
            down, and never more entries than it has.
        growth: where new entries are grown: by gradients (AG) or by SM3's accumulators (MA).
        replacement: how many are replaced.
        every: updates from one replacement to the next (20, released code; it advises more for small batches).
        looking: updates that are looked at before a replacement (5, released code).
        names: a regular expression that is searched in the names of parameters; the empty one finds all.
    """

    density: float = 0.01
    growth: ByGradients | ByMoments = ByGradients()
    replacement: LinearReplacement | CosineReplacement = LinearReplacement()
    every: int = 20
    looking: int = 5
    names: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not be done."""
        if not 0 < self.density <= 1:
            raise ValueError(f"density is a share of the parameters, above 0 and at most 1, got {self.density}")
        if not 0 < self.looking < self.every:
            raise ValueError(f"looking must lie between 1 and every - 1, got {self.looking} and {self.every}")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedSpiel:
        """Draw the entries and freeze everything else.

        Raises:
            UserError: no matrix of the trunk has such a name, or each would get less than one entry.
        """
        matrices = {n: p for n, p in trunk_matrices(policy).items() if re.search(self.names, n)}
        if not matrices:
            raise UserError(f"no matrix of the trunk has a name that matches {self.names!r}")
        wanted, total = int(self.density * policy.parameters_count), sum(p.numel() for p in matrices.values())
        drawn: dict[str, Tensor] = {}
        for name, matrix in matrices.items():
            count = min(matrix.numel(), wanted * matrix.numel() // total)
            order = torch.randperm(
                matrix.numel(), generator=Progress(0, 0, seed, ("adapter",)).generator("entries", name)
            )
            if count:
                drawn[name] = order[:count].sort().values.to(matrix.device)
        if not drawn:
            raise UserError(f"a density of {self.density} gives no matrix a single entry; raise it")
        deltas = attach_deltas(policy.model, drawn)
        return AttachedSpiel(self, deltas, self.growth.start(deltas))


def trunk_matrices(policy: Policy) -> dict[str, nn.Parameter]:
    """The trainable matrices of the layers by their names: neither embeddings nor the output head."""
    outside: set[int] = set()
    for module in policy.model.modules():
        if isinstance(module, nn.Embedding):
            outside |= {id(p) for p in module.parameters()}
    head = policy.model.get_output_embeddings()
    outside |= {id(p) for p in head.parameters()}
    return {n: p for n, p in policy.named_trainable().items() if p.dim() == 2 and id(p) not in outside}


@dataclass(eq=False)
class AttachedSpiel:
    """The search at work.

    Args:
        settings: as given.
        deltas: the entries.
        growth: what was seen of where to grow.
        updates: how many were made.
    """

    settings: Spiel
    deltas: SparseDeltas
    growth: GrowthSession
    updates: int = 0

    def __post_init__(self) -> None:
        """Look from the first update on."""
        self._look()

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Take in the gradient."""
        self.growth.observe(optimiser)

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Bring the weights up to date; at the end of a phase's look, replace entries."""
        self.deltas.write()
        self.updates += 1
        if self.updates % self.settings.every == self.settings.looking:
            share = self.settings.replacement.share(
                (now.step + 1) / now.total_steps, self.updates == self.settings.looking
            )
            for name in self.deltas.deltas:
                self._replace(optimiser, name, share)
        self._look()

    @torch.no_grad()
    def _replace(self, optimiser: torch.optim.Optimizer, name: str, share: float) -> None:
        delta = self.deltas.deltas[name]
        count = int(share * len(delta.indices))
        dropped = delta.values.abs().sort(stable=True).indices[:count]
        grown = self.growth.best(optimiser, name, dropped, count)
        # What is dropped and grown at once stays as it is.
        dropped = dropped[~torch.isin(delta.indices[dropped], grown.indices)]
        grown = grown.at((~torch.isin(grown.indices, delta.indices)).nonzero()[:, 0])
        slots = dropped[: len(grown.indices)]  # with too few to grow, the ones that changed most stay
        delta.replace(self.deltas.weights[name], slots, grown.indices)
        self.growth.seed(optimiser, name, slots, grown)

    def _look(self) -> None:
        """Open and close the eyes at the right updates."""
        if self.updates % self.settings.every == 0:
            self.growth.open()
        elif self.updates % self.settings.every == self.settings.looking:
            self.growth.close()

    def plain_weights(self) -> dict[str, Tensor]:
        """The weights hold the changes already."""
        return self.deltas.plain_weights()

    def merge(self) -> None:
        """Keep the changes, and let everything be trained again that could be before."""
        self.growth.close()
        self.deltas.merge()

    def state_dict(self) -> dict[str, Any]:
        """Updates made, and what was seen; positions and changes are buffers and parameters of the model."""
        return {"updates": self.updates, "growth": self.growth.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one stood."""
        self.updates = int(state["updates"])
        self.growth.close()
        if self.updates % self.settings.every < self.settings.looking:
            self.growth.open()
        self.growth.load_state_dict(state["growth"])
        self.deltas.write_when_loaded()
