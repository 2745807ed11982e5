"""Where the frozen policies of a stage come from: the weights that nothing moves, to compare with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from posttrain.errors import UserError
from posttrain.loading import check_same_tokens, load_policy
from posttrain.model_folder import located
from posttrain.policy import Policy
from posttrain.runtime import LocalRuntime


class FrozenPolicy(Protocol):
    """A specification; ``start`` makes the policy when the stage begins."""

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        """The frozen policy.

        Args:
            policy: the one that is going to be trained.
            remembered: earlier states of it that the recipe kept.
        """
        ...


@dataclass(frozen=True)
class Snapshot:
    """The policy as it stands when the stage begins: the usual reference."""

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        """A copy."""
        return policy.frozen_copy()


@dataclass(frozen=True)
class AdapterOff:
    """The policy without the adapter of the stage, which is the policy as it stands when the stage begins.

    It has modules of its own around the very weights of the policy, so it costs no memory, and passes of the two never
    disturb each other. It is meant for adapters that add weights and leave the model's own alone (``lora``, ``ssf`` …);
    a stage that trains the model's own weights is refused when it begins.
    """

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        """The model as the adapter will find it."""
        shared = {id(t): t for t in (*policy.model.parameters(), *policy.model.buffers())}
        return Policy(copy.deepcopy(policy.model, shared), policy.text, policy.autocast)


@dataclass(frozen=True)
class Remembered:
    """An earlier state that a step of the recipe kept.

    Args:
        name: under which it was kept.
    """

    name: str

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        """The very copy that was kept."""
        if self.name not in remembered:
            raise UserError(f"no step of the recipe kept the policy {self.name!r}; put Keep({self.name!r}) before")
        return remembered[self.name]


@dataclass(frozen=True)
class FromFolder:
    """Another model, such as a teacher.

    Args:
        folder: in Hugging Face format, or ``embedded``; its tokenizer and its number of logits must be the policy's.
    """

    folder: str

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        """Load it beside the policy.

        Raises:
            UserError: it is no model, or predicts other tokens.
        """
        check_same_tokens(self.folder, policy)
        other = load_policy(located(self.folder), LocalRuntime(policy.device, policy.autocast))
        other.model.requires_grad_(False)
        return other
