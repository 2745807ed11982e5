"""Products with packed weights."""

import copy

import pytest
import torch
from torch import nn

from posttrain.engines.packed import PackedLinear, can_be_packed

BFLOAT16 = torch.bfloat16
pytestmark = pytest.mark.skipif(
    not can_be_packed(nn.Linear(8, 8), BFLOAT16), reason="this processor does not multiply bfloat16 packed"
)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (5, 24), (2, 3, 24), (0, 24), (700, 24)])
def test_they_are_those_of_the_layer(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(24, 40, bias, dtype=BFLOAT16), torch.randn(shape).bfloat16()
    packed = PackedLinear(layer.weight, layer.bias)
    expected = copy.deepcopy(layer).double()(inputs.double())
    assert packed(inputs).dtype is BFLOAT16
    torch.testing.assert_close(packed(inputs).double(), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(packed(inputs.float()), packed(inputs), rtol=0, atol=0)


def test_it_takes_the_weights_of_now() -> None:
    layer, inputs = nn.Linear(24, 40, dtype=BFLOAT16), torch.randn(3, 24).bfloat16()
    packed = PackedLinear(layer.weight, layer.bias)
    before = packed(inputs)
    with torch.no_grad():
        layer.weight.add_(1.0)
    assert torch.equal(packed(inputs), before)
    packed.pack()
    assert torch.equal(packed(inputs), PackedLinear(layer.weight, layer.bias)(inputs))
    assert not torch.equal(packed(inputs), before)


class Scaled(nn.Linear):
    """A linear layer and something more."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def test_only_plain_layers_are_packed() -> None:
    hooked = nn.Linear(8, 8)
    hooked.register_forward_hook(lambda module, inputs, output: output)
    assert not can_be_packed(hooked, BFLOAT16)
    assert not can_be_packed(Scaled(8, 8), BFLOAT16)
    assert not can_be_packed(nn.LayerNorm(8), BFLOAT16)
    assert not can_be_packed(nn.Linear(8, 8), torch.float32)
    assert not can_be_packed(nn.Linear(8, 8, device="meta"), BFLOAT16)
