"""AdamW in which every entry of a parameter has its own age."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class PerEntryAdamW:
    """AdamW for parameters whose entries come and go: bias correction goes by the updates that an entry has seen.

    With entries of equal age this is AdamW. (SpIEL, 2401.16405, released code. There epsilon is added before the bias
    correction and the decay follows the step; here both stand where torch has them.)

    Args:
        betas: decay of the two moments.
        epsilon: added to the root of the second moment.
        weight_decay: per update and unit of learning rate, decoupled.
        clip_norm: the gradient's 2-norm is cut at this; infinity turns it off.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    clip_norm: float = 1.0

    def start(self, groups: list[dict[str, Any]]) -> PerEntryAdamWOptimizer:
        """The rule without any memory."""
        defaults = {"lr": 0.0, "betas": self.betas, "eps": self.epsilon, "weight_decay": self.weight_decay}
        return PerEntryAdamWOptimizer(groups, defaults)


class PerEntryAdamWOptimizer(torch.optim.Optimizer):
    """The rule at work.

    ``state[parameter]`` holds ``exp_avg``, ``exp_avg_sq`` and ``age``, all of the parameter's shape; an entry's moments
    are divided by ``1 - beta ** age``. Whoever replaces an entry sets the three for it.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; there is no closure to evaluate."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state, gradient, (beta1, beta2) = self.state[parameter], parameter.grad, group["betas"]
        assert gradient is not None
        if not state:
            state |= {name: torch.zeros_like(parameter) for name in ("age", "exp_avg", "exp_avg_sq")}
        age = state["age"].add_(1)
        first = state["exp_avg"].lerp_(gradient, 1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        spread = (second / bias_correction(beta2, age)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(first / bias_correction(beta1, age), spread, value=-group["lr"])


def bias_correction(beta: float, age: Tensor) -> Tensor:
    """``1 - beta ** age`` without cancellation, for ages above 0."""
    return -torch.expm1(age * (math.log(beta) if beta else -math.inf))
