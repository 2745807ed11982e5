"""Train the parameters whose names match, and nothing else: BitFit, norms only, some layers only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress


@dataclass(frozen=True)
class Chosen:
    r"""Selective fine-tuning by name.

    Args:
        names: a regular expression that is searched in the names of the model's parameters; ``r"\.bias$"`` is BitFit
            (2106.10199), ``"norm"`` trains norms only.
    """

    names: str

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedChosen:
        """Freeze everything else.

        Raises:
            UserError: no parameter has such a name.
        """
        before = {name: p.requires_grad for name, p in policy.model.named_parameters()}
        chosen = [name for name in before if re.search(self.names, name)]
        if not chosen:
            some = ", ".join(list(before)[:3])
            raise UserError(f"no parameter's name matches {self.names!r}; the model has names such as {some}")
        for name, parameter in policy.model.named_parameters():
            parameter.requires_grad_(before[name] and name in set(chosen))
        return AttachedChosen(policy.model, before)


@dataclass(frozen=True, eq=False)
class AttachedChosen:
    """The selection at work; the model has no other weights than before.

    Args:
        model: whose parameters are chosen from.
        before: which of them could be trained before.
    """

    model: nn.Module
    before: Mapping[str, bool] = field(default_factory=dict)

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Nothing."""

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Nothing."""

    def plain_weights(self) -> dict[str, Tensor]:
        """The model's weights are plain already."""
        return dict(self.model.state_dict())

    def merge(self) -> None:
        """Let everything be trained again that could be before."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.before[name])

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""
