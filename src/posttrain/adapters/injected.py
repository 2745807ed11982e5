"""The life of an adapter whose layers peft puts in the place of the model's own: attached, folded, taken out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from posttrain.adapters.layers import leave_undecayed
from posttrain.policy import Policy
from posttrain.types import Progress


def attached(policy: Policy, seed: int, inject: Callable[[], object], *, decayed: bool = True) -> AttachedLayers:
    """Let peft replace layers of the policy's model, which keeps its class; only what peft adds can be trained.

    Args:
        policy: changed in place.
        seed: of what peft draws.
        inject: lets peft work on the policy's model.
        decayed: whether the optimiser's weight decay applies to what is trained.
    """
    before = tuple((p, p.requires_grad) for p in policy.model.parameters())
    devices = [policy.device] if policy.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        inject()
    return AttachedLayers(policy.model, before, decayed)


@dataclass(frozen=True, eq=False)
class AttachedLayers:
    """Layers of peft at work.

    Args:
        model: the adapted one.
        before: the model's own parameters, and whether they could be trained before.
        decayed: whether weight decay applies to what is trained.
    """

    model: Any
    before: tuple[tuple[nn.Parameter, bool], ...]
    decayed: bool = True

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Keep weight decay away from factors."""
        if not self.decayed:
            leave_undecayed(optimiser, (p for p in self.model.parameters() if p.requires_grad))

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Nothing."""

    def plain_weights(self) -> dict[str, Tensor]:
        """The weights into which peft merges, layer by layer, so that one layer at a time is held twice."""
        weights: dict[str, Tensor] = dict(self.model.state_dict())
        for name, layer in self._layers().items():
            for key in [key for key in weights if key.startswith(f"{name}.")]:
                del weights[key]
            merged = copy.deepcopy(layer)
            with torch.no_grad():
                merged.merge()
            weights |= {f"{name}.{key}": value for key, value in merged.get_base_layer().state_dict().items()}
        return weights

    def merge(self) -> None:
        """Put the model's own layers back and give them the plain weights."""
        weights = self.plain_weights()
        for name, layer in self._layers().items():
            parent, _, child = name.rpartition(".")
            setattr(self.model.get_submodule(parent), child, layer.get_base_layer())
        del self.model.peft_config
        self.model.load_state_dict(weights)
        for parameter, trainable in self.before:
            parameter.requires_grad_(trainable)

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the model's parameters and buffers."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""

    def _layers(self) -> dict[str, Any]:
        from peft.tuners.tuners_utils import BaseTunerLayer

        return {name: m for name, m in self.model.named_modules() if isinstance(m, BaseTunerLayer)}
