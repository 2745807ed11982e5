"""Linear layers whose weights lie in the order in which a processor multiplies them.

A product with weights that lie in rows reorders them on the way, every time anew, which weighs most where it has few
rows, as in a step of decoding. There a product of its own for each of the layers that are given the same numbers, such
as those of queries, keys and values, costs as well; ``benchmarks/decisions.py`` measures both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""What Llama and its relatives call layers that are given the same numbers, one after the other."""


class Joint:
    """The product of linear layers that are given the same numbers.

    Args:
        layers: of equally many inputs, all of which :func:`can_be_packed`.
        dtype: of the weights.

    ``weights`` and ``biases`` are those of each layer, parts of what is multiplied; ``biases`` may be ``None``.
    """

    def __init__(self, layers: Sequence[nn.Linear], dtype: torch.dtype) -> None:
        self._sizes = [layer.out_features for layer in layers]
        self._weight = torch.cat([layer.weight.detach().to(dtype) for layer in layers])
        self._bias: Tensor | None = None
        if any(layer.bias is not None for layer in layers):
            self._bias = torch.cat([_bias(layer).to(dtype) for layer in layers])
        self.weights = [_parameter(part) for part in torch.split(self._weight, self._sizes)]
        biases = () if self._bias is None else torch.split(self._bias, self._sizes)
        known = {layer: _parameter(part) for layer, part in zip(layers, biases) if layer.bias is not None}
        self.biases = [known.get(layer) for layer in layers]
        self._inputs: Tensor | None = None
        self._version = 0
        self._waiting: dict[int, Tensor] = {}
        self.pack()

    def pack(self) -> None:
        """Take the weights of now."""
        self._packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self._weight)
        self._inputs, self._waiting = None, {}

    def part(self, place: int, inputs: Tensor) -> Tensor:
        """Float["... i"] -> Float["... o"], what the layer at this place makes of them.

        The others' parts wait until these are asked for the very same inputs, once; so one thread may ask at a time.
        """
        if len(self._sizes) == 1:
            return self._whole(inputs)
        if inputs.is_inference():  # such tensors do not tell whether they were changed in between
            return torch.split(self._whole(inputs), self._sizes, -1)[place]
        version = inputs._version
        if inputs is not self._inputs or version != self._version or place not in self._waiting:
            self._inputs, self._version = inputs, version
            self._waiting = dict(enumerate(torch.split(self._whole(inputs), self._sizes, -1)))
        found = self._waiting.pop(place)
        if not self._waiting:
            self._inputs = None
        return found

    def _whole(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs.to(self._weight.dtype), self._packed, self._bias, "none", [], ""
        )
        return outputs


class PackedLinear(nn.Module):
    """A linear layer for passes without gradients. The weights stay there as they were, for whoever reads them.

    Args:
        joint: of the layer and its siblings, if it has any.
        place: of the layer among them.
    """

    def __init__(self, joint: Joint, place: int) -> None:
        super().__init__()
        self.weight, self.bias = joint.weights[place], joint.biases[place]
        self._joint, self._place = joint, place

    def forward(self, inputs: Tensor) -> Tensor:
        """Float["... i"] -> Float["... o"] in the type of the weights."""
        return self._joint.part(self._place, inputs)


def families(model: nn.Module, dtype: torch.dtype) -> list[list[nn.Linear]]:
    """The linear layers of a model that can be packed, those together that are given the same numbers."""
    found: list[list[nn.Linear]] = []
    for module in model.modules():
        for names in SIBLINGS:
            siblings = [child for name in names if (child := module._modules.get(name)) is not None]
            packed = len(siblings) == len(names) and all(can_be_packed(child, dtype) for child in siblings)
            if packed and len({child.in_features for child in siblings}) == 1:
                found.append(cast(list[nn.Linear], siblings))
    together = {layer for family in found for layer in family}
    alone = [m for m in model.modules() if can_be_packed(m, dtype) and m not in together]
    return [*found, *([cast(nn.Linear, layer)] for layer in alone)]


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


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _bias(layer: nn.Linear) -> Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach()
