"""What each adapter makes of a weight, worked out apart from it, and how many numbers it trains."""

import math

import pytest
import torch
from torch import Tensor, nn

from fixtures.folders import float64_policy
from posttrain.adapters.ia3 import Ia3
from posttrain.adapters.loha import Loha
from posttrain.adapters.lokr import Lokr
from posttrain.adapters.lora import Lora
from posttrain.adapters.norms import Norms
from posttrain.adapters.oft import Oft
from posttrain.adapters.ssf import Ssf
from posttrain.adapters.vera import Vera
from posttrain.errors import UserError
from tolerances import MODEL, ROUNDING

UP = "model.layers.1.mlp.up_proj"
LINEAR = {"q_proj": (32, 32), "k_proj": (32, 16), "v_proj": (32, 16), "o_proj": (32, 32)} | {
    "gate_proj": (32, 48),
    "up_proj": (32, 48),
    "down_proj": (48, 32),
}
"""Inputs and outputs of the linear layers of a block of the tiny Qwen2, which has two blocks."""


def moved(adapter, name: str = UP) -> tuple[Tensor, nn.Module, dict[str, Tensor]]:
    """The weight as it was, the adapted layer after its parameters have been drawn anew, and the folded weights."""
    policy = float64_policy("qwen2")
    before = policy.model.get_parameter(f"{name}.weight").detach().clone()
    attached = adapter.attach(policy, 0, {})
    noise = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))
    return before, policy.model.get_submodule(name), attached.plain_weights()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("variant", "scale"), [("lora", 6 / 4), ("rslora", 6 / 2)])
def test_lora_adds_a_scaled_product(variant: str, scale: float) -> None:
    weight, layer, plain = moved(Lora(rank=4, alpha=6.0, variant=variant))
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    assert product.shape == (48, 32)
    assert int(torch.linalg.matrix_rank(product)) == 4
    close(plain[f"{UP}.weight"], weight + scale * product)


def test_dora_gives_every_row_the_length_that_was_learnt() -> None:
    weight, layer, plain = moved(Lora(rank=4, alpha=6.0, variant="dora"))
    direction = weight + 6 / 4 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    lengths = layer.lora_magnitude_vector["default"].weight
    close(plain[f"{UP}.weight"], lengths[:, None] * direction / direction.norm(dim=1, keepdim=True))


def test_lora_begins_with_a_random_and_b_zero() -> None:
    for start in ("uniform", "gaussian"):
        policy = float64_policy("qwen2")
        Lora(rank=4, start=start).attach(policy, 0, {})
        layer = policy.model.get_submodule(UP)
        a, b = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight
        assert not bool(b.any())
        assert bool(a.all())
        # Uniform numbers end at 1 / sqrt(inputs); Gaussian ones of standard deviation 1 / rank do not.
        assert (float(a.abs().max()) <= 1 / math.sqrt(32)) == (start == "uniform")


def test_vera_rescales_shared_random_matrices() -> None:
    weight, layer, plain = moved(Vera(rank=8))
    a, b = layer.vera_A["default"][:, :32], layer.vera_B["default"][:48]
    d, e = layer.vera_lambda_d["default"], layer.vera_lambda_b["default"]
    close(plain[f"{UP}.weight"], weight + torch.diag(e) @ b @ torch.diag(d) @ a)


def test_loha_adds_an_elementwise_product_of_higher_rank() -> None:
    weight, layer, plain = moved(Loha(rank=2, alpha=3.0))
    first = layer.hada_w1_a["default"] @ layer.hada_w1_b["default"]
    second = layer.hada_w2_a["default"] @ layer.hada_w2_b["default"]
    assert int(torch.linalg.matrix_rank(first * second)) == 4
    close(plain[f"{UP}.weight"], weight + 3 / 2 * first * second)


def test_lokr_adds_a_kronecker_product() -> None:
    weight, layer, plain = moved(Lokr(rank=2, alpha=3.0))
    small = layer.lokr_w1["default"]
    large = layer.lokr_w2_a["default"] @ layer.lokr_w2_b["default"]
    assert small.shape == (6, 4)
    close(plain[f"{UP}.weight"], weight + 3 / 2 * torch.kron(small, large))


@pytest.mark.parametrize(("cayley", "orthogonal"), [("exact", True), ("series", False)])
def test_oft_rotates_the_inputs_of_a_layer_block_by_block(cayley: str, orthogonal: bool) -> None:
    weight, layer, plain = moved(Oft(block_size=8, cayley=cayley))
    upper = layer.oft_R["default"].weight
    rows, columns = torch.triu_indices(8, 8, 1)
    skew = torch.zeros(4, 8, 8, dtype=torch.float64)
    skew[:, rows, columns] = upper.detach()
    skew = skew - skew.transpose(1, 2)
    eye = torch.eye(8, dtype=torch.float64)
    exact = torch.linalg.solve(eye + skew, eye - skew, left=False).transpose(1, 2)
    turned = torch.linalg.lstsq(weight, plain[f"{UP}.weight"]).solution
    if orthogonal:
        expected = torch.block_diag(*exact)
        torch.testing.assert_close(turned @ turned.T, torch.eye(32, dtype=torch.float64), rtol=0, atol=MODEL)
        assert min(float((turned - r).abs().max()) for r in (expected, expected.T)) < MODEL
    else:
        assert float((turned @ turned.T - torch.eye(32)).abs().max()) > MODEL
    outside = torch.block_diag(*torch.ones(4, 8, 8)) == 0
    assert float(turned[outside].abs().max()) < MODEL


def test_ia3_rescales_rows_of_keys_and_values_and_columns_of_the_last_layer() -> None:
    for name, rows in (("model.layers.0.self_attn.v_proj", True), ("model.layers.0.mlp.down_proj", False)):
        weight, layer, plain = moved(Ia3(), name)
        factor = layer.ia3_l["default"].flatten()
        assert factor.shape == (16 if rows else 48,)
        close(plain[f"{name}.weight"], factor[:, None] * weight if rows else weight * factor)
        if rows:
            close(plain[f"{name}.bias"], factor * layer.get_base_layer().bias)


def pairs(width: int) -> tuple[int, int]:
    """The two factors of a width that are closest to each other."""
    small = max(d for d in range(1, math.isqrt(width) + 1) if width % d == 0)
    return small, width // small


def kronecker(read: int, written: int, rank: int) -> int:
    (a, b), (c, d) = pairs(written), pairs(read)
    return a * c + (b * d if rank >= max(b, d) / 2 else rank * (b + d))


SHIFTED = {"q_proj": 32, "k_proj": 16, "v_proj": 16, "norm before attention": 32}
"""Channels of the places of the tiny Qwen2, per block, whose shift has a bias to fold into."""

COUNTS = [
    (Lora(rank=3), 2 * sum(3 * (i + o) for i, o in LINEAR.values())),
    (Lora(rank=3, targets="usual"), 2 * sum(3 * sum(LINEAR[name]) for name in ("q_proj", "v_proj"))),
    (Lora(rank=3, targets=("mlp.up_proj",), variant="dora"), 2 * (3 * (32 + 48) + 48)),
    (Vera(rank=5), 2 * sum(5 + o for _, o in LINEAR.values())),
    (Loha(rank=3), 2 * sum(2 * 3 * (i + o) for i, o in LINEAR.values())),
    (Lokr(rank=2), 2 * sum(kronecker(i, o, 2) for i, o in LINEAR.values())),
    (Oft(block_size=8), 2 * sum(i // 8 * 8 * 7 // 2 for i, _ in LINEAR.values())),
    (Ia3(), 2 * (16 + 16 + 48)),
    (Norms(), 5 * 32),
    (Ssf(shift="none"), 5 * 32 + 2 * sum(o for _, o in LINEAR.values())),
    (Ssf(), 5 * 32 + 2 * sum(o for _, o in LINEAR.values()) + 2 * sum(SHIFTED.values())),
]


@pytest.mark.parametrize(("adapter", "count"), COUNTS, ids=lambda value: str(value))
def test_it_trains_as_many_numbers_as_its_formula_says(adapter, count: int) -> None:
    policy = float64_policy("qwen2")
    adapter.attach(policy, 0, {})
    assert sum(p.numel() for p in policy.trainable()) == count


def test_everywhere_there_are_two_numbers_per_channel() -> None:
    """In GPT-2, where every layer and norm has a bias."""
    policy = float64_policy("gpt2")
    Ssf(shift="all").attach(policy, 0, {})
    assert sum(p.numel() for p in policy.trainable()) == 2 * (2 * (32 + 96 + 32 + 32 + 128 + 32) + 32)


@pytest.mark.parametrize(
    ("adapter", "sentence"),
    [
        (Lora(targets=("q_porj",)), "no linear layer is called 'q_porj'; the model has q_proj, k_proj, v_proj, o_proj"),
        (Lora(targets=("proj",)), "no linear layer is called 'proj'"),
        (Lora(targets=("lm_head",)), "no linear layer is called 'lm_head'"),
        (Oft(block_size=32), "'model.layers.0.mlp.down_proj' reads 48 numbers; choose a block_size that divides 48"),
        (Ia3(outputs=("qkv",)), "no linear layer is called 'qkv'"),
    ],
    ids=str,
)
def test_layers_that_are_not_there_are_refused_before_anything_is_changed(adapter, sentence: str) -> None:
    policy = float64_policy("qwen2")
    names = [name for name, _ in policy.model.named_modules()]
    with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
        adapter.attach(policy, 0, {})
    assert [name for name, _ in policy.model.named_modules()] == names
    assert all(p.requires_grad for p in policy.model.parameters())


def test_a_model_of_a_type_that_no_table_knows_needs_names() -> None:
    policy = float64_policy("llama")
    policy.model.config.model_type = "unheard_of"
    with pytest.raises(UserError, match=r"no usual choice of layers .* name some, as in targets=\[q_proj, k_proj"):
        Lora(targets="usual").attach(policy, 0, {})


@pytest.mark.parametrize(
    "arguments", [{"rank": 0}, {"alpha": 0.0}, {"targets": ()}], ids=lambda given: next(iter(given))
)
@pytest.mark.parametrize("adapter", [Lora, Loha, Lokr])
def test_a_change_that_could_change_nothing_is_refused(adapter, arguments) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        adapter(**arguments)


@pytest.mark.parametrize(
    ("adapter", "arguments"),
    [(Vera, {"start": 0.0}), (Vera, {"rank": 0}), (Oft, {"block_size": 1}), (Ssf, {"places": ()})],
)
def test_an_adapter_that_could_not_learn_is_refused(adapter, arguments) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        adapter(**arguments)
