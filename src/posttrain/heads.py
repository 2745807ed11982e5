"""Modules on the last hidden states that a stage trains beside the model, and their file in the model's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posttrain.errors import UserError
from posttrain.loading import load_policy
from posttrain.model_folder import check_model_folder
from posttrain.policy import Policy
from posttrain.runtime import LocalRuntime

HEADS = "heads.safetensors"
"""Beside a model's weights: those of its heads, as ``NAME.weight`` and ``NAME.bias``."""


@dataclass(frozen=True)
class ValueHead:
    """One number per state, linear in it and zero at first: a critic's value, a reward model's score.

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


def save_heads(folder: Path, heads: Mapping[str, nn.Module]) -> None:
    """Write the weights of all heads; without any, no file."""
    weights = {f"{name}.{key}": value for name, head in heads.items() for key, value in head.state_dict().items()}
    if weights:
        save_file({name: value.contiguous() for name, value in weights.items()}, folder / HEADS)


def read_heads(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of each head by its name, as modules load them; none where no file is."""
    path, states = folder / HEADS, dict[str, dict[str, Tensor]]()
    for key, value in load_file(path).items() if path.is_file() else ():
        name, _, entry = key.rpartition(".")
        states.setdefault(name, {})[entry] = value
    return states


def load_reward_model(folder: str | Path, runtime: LocalRuntime) -> Policy:
    """A frozen model with the heads that were trained beside it, ``score`` among them, from a run's ``checkpoint``.

    Raises:
        UserError: it is no model, or has no such head.
    """
    folder = Path(folder)
    check_reward_model(folder)
    policy = load_policy(folder, runtime)
    policy.model.requires_grad_(False)
    for name, state in read_heads(folder).items():
        head = ValueHead().start(policy.width, policy.device)
        head.load_state_dict(state)
        policy.heads[name] = head.requires_grad_(False)
    return policy


def check_reward_model(folder: Path) -> None:
    """Refuse a folder without a reward model, before anything heavy is loaded.

    Raises:
        UserError: it is no model, or has no head ``score``.
    """
    check_model_folder(folder)
    if "score" not in read_heads(folder):
        raise UserError(
            f"{str(folder)!r} is no reward model: it has no head 'score'; give the checkpoint folder of a run of "
            "the method reward_model"
        )
