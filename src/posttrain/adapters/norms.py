"""Tuning of the norms alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.adapters import layers
from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.errors import UserError
from posttrain.policy import Policy


@dataclass(frozen=True)
class Norms:
    """Layer-norm tuning (2312.11420): copies of the norms are trained, and never decayed; everything else is frozen.

    The same as ``chosen`` with the names of the norms, but the model's own weights stay as they are, so that the
    adapter can be switched off.
    """

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Train a copy of every norm.

        Raises:
            UserError: the model has no norm with weights.
        """
        from peft import LNTuningConfig, inject_adapter_in_model

        found = list(layers.norms(policy.model))
        if not found:
            raise UserError(f"a {type(policy.model).__name__} has no norm with weights; choose another adapter")
        config = LNTuningConfig(target_modules=found)

        def inject() -> None:
            with warnings.catch_warnings():
                # It asks norms for their numbers of inputs and outputs, and warns that they have none.
                warnings.simplefilter("ignore", UserWarning)
                inject_adapter_in_model(config, policy.model)

        return attached(policy, seed, inject, decayed=False)
