"""Linear layers whose weights lie in the order in which a processor multiplies them.

A product with weights that lie in rows reorders them on the way, every time anew, which weighs most where it has few
rows, as in a step of decoding; ``benchmarks/decisions.py`` measures it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized


class PackedLinear(nn.Module):
    """A linear layer for passes without gradients. The weights stay there as they were, for whoever reads them.

    Args:
        weight: Float["o i"] of a type that can be packed.
        bias: Float["o"], if the layer has one.
    """

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.pack()

    def pack(self) -> None:
        """Take the weights of now."""
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        """Float["... i"] -> Float["... o"] in the type of the weights."""
        product = torch.ops.mkldnn._linear_pointwise
        outputs: Tensor = product(inputs.to(self.weight.dtype), self._packed, self.bias, "none", [], "")
        return outputs


def can_be_packed(module: nn.Module, dtype: torch.dtype) -> bool:
    """Whether the module is a linear layer, no more and no less, on a processor that multiplies this type packed."""
    return (
        type(module) is nn.Linear
        and set(module._parameters) == {"weight", "bias"}
        and not (module._buffers or module._modules or "forward" in vars(module))
        and module.weight.device.type == "cpu"
        and dtype is torch.bfloat16
        and torch._C._has_mkldnn
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        and not (module._forward_hooks or module._forward_pre_hooks or is_parametrized(module))
    )
