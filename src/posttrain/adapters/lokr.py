"""Changes of linear layers that are Kronecker products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.adapters.layers import Targets, plain_layers, refuse_idle
from posttrain.policy import Policy


@dataclass(frozen=True)
class Lokr:
    """LoKr (LyCORIS, 2309.14859): ``W + (alpha / rank) C (x) D``, D a product of rank ``rank`` where that is smaller.

    C is as close to square as its layer's widths allow, and zero at first. Layers with transposed weights (GPT-2) are
    not supported.

    Args:
        rank: of D; a D that is not larger than twice that is trained whole (8, as in peft).
        alpha: the change is multiplied by ``alpha / rank`` (8, as in peft).
        targets: the layers that are changed, as for ``lora``.
    """

    rank: int = 8
    alpha: float = 8.0
    targets: Targets = "linear"

    def __post_init__(self) -> None:
        """Refuse a change that would change nothing."""
        refuse_idle(self.rank, self.alpha, self.targets)

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Add the factors to the targeted layers.

        Raises:
            UserError: the model has no such layers, or transposed ones.
        """
        from peft import LoKrConfig, inject_adapter_in_model
        from peft.utils import TRANSFORMERS_MODELS_TO_LOKR_TARGET_MODULES_MAPPING as usual

        layers = plain_layers(policy.model, self.targets, usual)
        config = LoKrConfig(r=self.rank, alpha=self.alpha, target_modules=list(layers))
        return attached(policy, seed, lambda: inject_adapter_in_model(config, policy.model))
