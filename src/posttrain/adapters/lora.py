"""Low-rank changes of linear layers, and their refinements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from posttrain.adapters.injected import AttachedLayers, attached
from posttrain.adapters.layers import Targets, is_transposed, refuse_idle, targeted
from posttrain.policy import Policy


@dataclass(frozen=True)
class Lora:
    """LoRA (2106.09685): ``W + scale B A`` with A of ``rank`` rows and B zero at first; only A and B are trained.

    There is no dropout: a policy is never in training mode, so that the one that is trained is the one that samples.
    Starts that change the model's own weights (PiSSA, OLoRA) are left out, so that switching the adapter off always
    gives the model as it was.

    Args:
        rank: rows of A and columns of B (8, as in peft).
        alpha: the change is multiplied by ``alpha / rank`` (8, as in peft).
        targets: the layers that are changed: ``linear``, every linear layer but the output head (2305.14314 finds that
            it takes all of them to match full fine-tuning); ``usual``, queries and values, as in the paper; or the ends
            of names, such as ``[q_proj, v_proj]``.
        start: how A is drawn: ``uniform`` as in the released code, ``gaussian`` as in the paper's text.
        variant: ``lora``; ``rslora`` (2312.03732) scales by ``alpha / sqrt(rank)``; ``dora`` (2402.09353) also trains
            the norm of every output's weights, apart from their direction.
    """

    rank: int = 8
    alpha: float = 8.0
    targets: Targets = "linear"
    start: Literal["uniform", "gaussian"] = "uniform"
    variant: Literal["lora", "rslora", "dora"] = "lora"

    def __post_init__(self) -> None:
        """Refuse a change that would change nothing."""
        refuse_idle(self.rank, self.alpha, self.targets)

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedLayers:
        """Add A and B to the targeted layers.

        Raises:
            UserError: the model has no such layers.
        """
        from peft import LoraConfig, inject_adapter_in_model
        from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as usual

        layers = targeted(policy.model, self.targets, usual)
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            target_modules=list(layers),
            init_lora_weights=True if self.start == "uniform" else "gaussian",
            use_rslora=self.variant == "rslora",
            use_dora=self.variant == "dora",
            fan_in_fan_out=any(is_transposed(layer) for layer in layers.values()),
        )
        return attached(policy, seed, lambda: inject_adapter_in_model(config, policy.model))
