"""Modules on the last hidden states that a stage trains beside the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class ValueHead:
    """A critic that shares the policy's trunk: one number per state, zero at first.

    Args:
        learning_rate_factor: the head's learning rate relative to that of the model.
    """

    learning_rate_factor: float = 1.0

    def start(self, width: int, device: torch.device) -> nn.Module:
        """The module, Float["n d"] -> Float["n 1"].

        Args:
            width: d, the size of a hidden state.
            device: where the policy lives.
        """
        head = nn.Linear(width, 1, device=device)
        # From zero, so that the first advantages are the returns themselves and not noise of an initialisation.
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head
