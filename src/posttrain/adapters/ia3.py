"""One trained factor per feature of keys, values and feed-forward activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.adapters.layers import is_transposed, linear_layers, targeted
from posttrain.errors import UserError
from posttrain.policy import Policy

USUAL = ((("k_proj", "v_proj"), ("down_proj",)), (("c_attn",), ("mlp.c_proj",)))
"""Keys and values, and the layer that reads the feed-forward activations: in Llama and its relatives, in GPT-2."""


@dataclass(frozen=True)
class Ia3:
    """(IA)^3 (2205.05638): features times trained factors, which are 1 at first and are never decayed.

    In GPT-2 queries, keys and values are one layer, so queries are rescaled as well.

    Args:
        outputs: layers whose output is rescaled, by the ends of their names; ``usual``: keys and values.
        inputs: layers whose input is rescaled; ``usual``: the last one of the feed-forward block.
    """

    outputs: Literal["usual"] | tuple[str, ...] = "usual"
    inputs: Literal["usual"] | tuple[str, ...] = "usual"

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Add the factors.

        Raises:
            UserError: the model has no such layers, or nothing is usual for it.
        """
        from peft import IA3Config, inject_adapter_in_model

        outputs = self._meant(policy, self.outputs, 0)
        inputs = self._meant(policy, self.inputs, 1)
        layers = targeted(policy.model, (*outputs, *inputs), {})
        config = IA3Config(
            target_modules=list(layers),
            feedforward_modules=list(targeted(policy.model, inputs, {})),
            fan_in_fan_out=any(is_transposed(layer) for layer in layers.values()),
        )
        return attached(policy, seed, lambda: inject_adapter_in_model(config, policy.model), decayed=False)

    def _meant(self, policy: Policy, ends: Literal["usual"] | tuple[str, ...], which: int) -> tuple[str, ...]:
        if ends != "usual":
            return ends
        names = [f".{name}" for name in linear_layers(policy.model)]
        for usual in USUAL:
            if all(any(name.endswith(f".{end}") for name in names) for ends in usual for end in ends):
                return usual[which]
        raise UserError(
            f"nothing is usual for (IA)^3 in a {type(policy.model).__name__}; name layers, as in "
            "--set stage.adapter.outputs=[k_proj,v_proj] --set stage.adapter.inputs=[down_proj]"
        )
