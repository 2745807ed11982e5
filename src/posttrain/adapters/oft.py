"""Rotations of what linear layers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.adapters.layers import Targets, plain_layers, widths
from posttrain.errors import UserError
from posttrain.policy import Policy


@dataclass(frozen=True)
class Oft:
    """OFT (2306.07280): ``W R`` with R block-diagonal and orthogonal, the identity at first.

    Layers with transposed weights (GPT-2) are not supported.

    Args:
        block_size: rows of a block; it divides the inputs of every targeted layer (32, as in peft).
        cayley: ``exact``, a rotation however far it has turned; or ``series``, five terms of a Neumann series in place
            of the inverse, as in OFTv2 (2506.19847) and by default in peft, faster and a rotation only while it is
            small.
        targets: the layers that are changed, as for ``lora``.
    """

    block_size: int = 32
    cayley: Literal["exact", "series"] = "series"
    targets: Targets = "linear"

    def __post_init__(self) -> None:
        """Refuse blocks that cannot turn."""
        if self.block_size < 2:
            raise ValueError(f"block_size must be at least 2, got {self.block_size}")
        if not self.targets:
            raise ValueError("targets names no layer; leave it out to adapt every linear layer")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Put a rotation before the targeted layers.

        Raises:
            UserError: the model has no such layers, transposed ones, or some whose inputs are not made of whole blocks.
        """
        from peft import OFTConfig, inject_adapter_in_model
        from peft.utils import TRANSFORMERS_MODELS_TO_OFT_TARGET_MODULES_MAPPING as usual

        layers = plain_layers(policy.model, self.targets, usual)
        for name, layer in layers.items():
            if widths(layer)[0] % self.block_size:
                read = widths(layer)[0]
                raise UserError(f"{name!r} reads {read} numbers; choose a block_size that divides {read}")
        config = OFTConfig(
            oft_block_size=self.block_size,
            target_modules=list(layers),
            use_cayley_neumann=self.cayley == "series",
        )
        return attached(policy, seed, lambda: inject_adapter_in_model(config, policy.model))
