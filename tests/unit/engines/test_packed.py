"""Products with packed weights."""

import copy

import pytest
import torch
from torch import nn

from fixtures.models import tiny_policy
from posttrain.engines.packed import Joint, PackedLinear, can_be_packed, families
from posttrain.engines.twins import Twin
from posttrain.policy import Policy

BFLOAT16 = torch.bfloat16
pytestmark = pytest.mark.skipif(
    not (torch._C._has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this processor does not multiply bfloat16 packed",
)


def alone(layer: nn.Linear) -> PackedLinear:
    return PackedLinear(Joint([layer], BFLOAT16), 0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (5, 24), (2, 3, 24), (0, 24), (700, 24)])
def test_they_are_those_of_the_layer(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Linear(24, 40, bias, dtype=BFLOAT16), torch.randn(shape).bfloat16()
    packed = alone(layer)
    expected = copy.deepcopy(layer).double()(inputs.double())
    assert packed(inputs).dtype is BFLOAT16
    torch.testing.assert_close(packed(inputs).double(), expected, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(packed(inputs.float()), packed(inputs), rtol=0, atol=0)


def test_it_takes_the_weights_of_now() -> None:
    layer, inputs = nn.Linear(24, 40, dtype=BFLOAT16), torch.randn(3, 24).bfloat16()
    packed = alone(layer)
    before = packed(inputs)
    with torch.no_grad():
        layer.weight.add_(1.0)
        packed.weight.copy_(layer.weight)
    assert torch.equal(packed(inputs), before)
    packed._joint.pack()
    assert torch.equal(packed(inputs), alone(layer)(inputs))
    assert not torch.equal(packed(inputs), before)


def family(*sizes: int) -> list[nn.Linear]:
    """Layers of 24 inputs; every other one has a bias."""
    torch.manual_seed(0)
    return [nn.Linear(24, size, bias=place % 2 == 0, dtype=BFLOAT16) for place, size in enumerate(sizes)]


def packed(layers: list[nn.Linear]) -> list[PackedLinear]:
    joint = Joint(layers, BFLOAT16)
    return [PackedLinear(joint, place) for place in range(len(layers))]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 0, 1), (1,), (0, 1, 2, 0, 1, 2)])
def test_siblings_compute_what_they_would_alone_whoever_is_asked_first(order: tuple[int, ...]) -> None:
    layers, inputs = family(40, 8, 16), torch.randn(2, 3, 24).bfloat16()
    together = packed(layers)
    for place in order:
        torch.testing.assert_close(together[place](inputs), alone(layers[place])(inputs), rtol=1e-2, atol=1e-2)


def test_siblings_notice_that_their_inputs_are_others() -> None:
    layers, inputs, others = family(40, 8), torch.randn(3, 24).bfloat16(), torch.randn(3, 24).bfloat16()
    (first, second), expected = packed(layers), alone(layers[1])(others)
    first(inputs)
    assert torch.equal(second(others), expected)
    assert torch.equal(first(inputs), alone(layers[0])(inputs))
    inputs.copy_(others)
    assert torch.equal(second(inputs), expected)
    first(inputs)
    with torch.no_grad():
        second.weight.zero_()
    second._joint.pack()
    assert not (second(inputs) - (0 if second.bias is None else second.bias)).any()


def test_they_are_made_under_inference_mode() -> None:
    layers = family(40, 8)
    with torch.inference_mode():
        inputs = torch.randn(3, 24).bfloat16()
        together = packed(layers)
        for one, layer in zip(together, layers):
            assert torch.equal(one(inputs), alone(layer)(inputs))


def test_a_joint_product_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    products, product = [], torch.ops.mkldnn._linear_pointwise
    noting = lambda *given: products.append(given[0].shape) or product(*given)  # noqa: E731
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", noting)
    layers, inputs = packed(family(40, 8, 16)), torch.randn(3, 24).bfloat16()
    for layer in layers:
        layer(inputs)
    assert len(products) == 1


def test_what_is_given_the_same_numbers_is_a_family() -> None:
    model = tiny_policy().model
    found = families(model, BFLOAT16)
    # In each of the two layers queries, keys and values; gate and up; two outputs alone. And the head.
    assert sorted(len(one) for one in found) == [1, 1, 1, 1, 1, 2, 2, 3, 3]
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert {layer for one in found for layer in one} == set(linear)
    assert sum(len(one) for one in found) == len(linear)


def test_layers_of_different_inputs_are_no_family() -> None:
    module = nn.Module()
    module.gate_proj, module.up_proj = nn.Linear(8, 8), nn.Linear(16, 8)
    assert sorted(len(one) for one in families(module, BFLOAT16)) == [1, 1]


class Scaled(nn.Linear):
    """A linear layer and something more."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def test_a_twin_is_packed_and_its_policy_is_not() -> None:
    policy = Policy(tiny_policy().model.float(), tiny_policy().text, BFLOAT16)
    linear = sum(isinstance(module, nn.Linear) for module in policy.model.modules())
    twin = Twin(policy).policy.model
    assert sum(isinstance(module, PackedLinear) for module in twin.modules()) == linear > 0
    assert not any(isinstance(module, PackedLinear) for module in policy.model.modules())


def test_only_plain_layers_are_packed() -> None:
    assert can_be_packed(nn.Linear(8, 8), BFLOAT16)
    assert can_be_packed(nn.Linear(8, 8, bias=False), BFLOAT16)
    hooked, holding, replaced = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
    holding.register_buffer("mask", torch.ones(8))
    replaced.forward = lambda inputs: inputs
    assert not can_be_packed(holding, BFLOAT16)
    assert not can_be_packed(replaced, BFLOAT16)
    hooked.register_forward_hook(lambda module, inputs, output: output)
    assert not can_be_packed(hooked, BFLOAT16)
    assert not can_be_packed(Scaled(8, 8), BFLOAT16)
    assert not can_be_packed(nn.LayerNorm(8), BFLOAT16)
    assert not can_be_packed(nn.Linear(8, 8), torch.float32)
    assert not can_be_packed(nn.Linear(8, 8, device="meta"), BFLOAT16)
