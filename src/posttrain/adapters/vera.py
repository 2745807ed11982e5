"""Two trained vectors per layer around one pair of random matrices that all layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.adapters.layers import Targets, is_transposed, targeted
from posttrain.policy import Policy


@dataclass(frozen=True)
class Vera:
    """VeRA (2310.11454): ``W + diag(b) B diag(d) A`` with A and B random, frozen and shared; b is zero at first.

    Args:
        rank: rows of A (256, as in peft).
        start: what every entry of d is at first (0.1, as in peft).
        targets: the layers that are changed, as for ``lora``.
    """

    rank: int = 256
    start: float = 0.1
    targets: Targets = "linear"

    def __post_init__(self) -> None:
        """Refuse vectors that could not learn."""
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, got {self.rank}")
        if self.start == 0:
            raise ValueError("start cannot be 0: with both vectors zero neither has a gradient")
        if not self.targets:
            raise ValueError("targets names no layer; leave it out to adapt every linear layer")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Draw the shared matrices and add the vectors to the targeted layers.

        Raises:
            UserError: the model has no such layers.
        """
        from peft import VeraConfig, VeraModel
        from peft.utils import TRANSFORMERS_MODELS_TO_VERA_TARGET_MODULES_MAPPING as usual

        layers = targeted(policy.model, self.targets, usual)
        config = VeraConfig(
            r=self.rank,
            target_modules=list(layers),
            projection_prng_key=seed,
            d_initial=self.start,
            fan_in_fan_out=any(is_transposed(layer) for layer in layers.values()),
        )
        # Its layers hold the shared matrices themselves, so the tuner need not be kept.
        return attached(policy, seed, lambda: VeraModel(policy.model, config, "default"), decayed=False)
