"""Train the parameters whose names match, drawn to an earlier state by their absolute distance from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from posttrain.adapters.chosen import AttachedChosen, Chosen
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress


@dataclass(frozen=True)
class Anchored:
    """Selective fine-tuning with an L1 penalty on the distance from a remembered state.

    Args:
        towards: the remembered state.
        l1: coefficient of the mean absolute distance (the sum over what is trained, divided by the number of all
            parameters of the model); it acts through its gradient and is no part of the reported loss. 0 is
            :class:`posttrain.adapters.chosen.Chosen`.
        names: a regular expression that is searched in the names of parameters; the empty one finds all.
    """

    towards: str
    l1: float
    names: str = ""

    def __post_init__(self) -> None:
        """Refuse a penalty that rewards distance."""
        if self.l1 < 0:
            raise ValueError(f"l1 cannot be negative, got {self.l1}")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedAnchored:
        """Freeze everything else.

        Raises:
            UserError: no parameter has such a name, or the recipe kept no such state.
        """
        if self.towards not in remembered:
            raise UserError(
                f"no part of the recipe kept the policy {self.towards!r}; put Keep({self.towards!r}) before"
            )
        strength = self.l1 / policy.parameters_count
        chosen = Chosen(self.names).attach(policy, seed, remembered)
        state = dict(remembered[self.towards].model.named_parameters())
        pairs = tuple((p, state[name].detach()) for name, p in policy.named_trainable().items())
        return AttachedAnchored(chosen, strength, pairs)


@dataclass(frozen=True, eq=False)
class AttachedAnchored:
    """The penalty at work.

    Args:
        chosen: what is trained.
        l1: coefficient of the sum of absolute distances.
        pairs: each trained parameter and where it is drawn to.
    """

    chosen: AttachedChosen
    l1: float
    pairs: tuple[tuple[nn.Parameter, Tensor], ...]

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Add the gradient of the absolute distances."""
        for parameter, towards in self.pairs if self.l1 else ():
            if parameter.grad is not None:
                parameter.grad.add_((parameter.detach() - towards).sign(), alpha=self.l1)

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Nothing."""

    def plain_weights(self) -> dict[str, Tensor]:
        """The model's weights are plain already."""
        return self.chosen.plain_weights()

    def merge(self) -> None:
        """Let everything be trained again that could be before."""
        self.chosen.merge()

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the weights."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""
