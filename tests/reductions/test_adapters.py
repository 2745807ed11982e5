"""Where two adapters, or two ways of asking for one, are the same."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.folders import float64_policy
from fixtures.models import weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL_SUPERVISION, run_recipe
from posttrain.adapters.chosen import Chosen
from posttrain.adapters.ia3 import Ia3
from posttrain.adapters.lora import Lora
from posttrain.adapters.norms import Norms
from posttrain.adapters.ssf import Ssf
from posttrain.changes import StageChanges
from posttrain.methods import lora, sft, ssf
from posttrain.protocols import Adapter
from posttrain.recipe import Recipe
from posttrain.stage import AdamW
from posttrain.stages import supervised
from tolerances import GRADIENT

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FAST = dataclasses.replace(SMALL_SUPERVISION, learning_rate=1e-2)


def after(recipe: Recipe) -> dict[str, Tensor]:
    policy = float64_policy("qwen2")
    run_recipe(recipe, policy)
    return weights(policy)


def imitating(adapter: Adapter, steps: int = 4, **settings: object) -> Recipe:
    """Imitation without weight decay, which reaches some adapters and spares others."""
    stage = supervised.stage(toy_problems(), steps, FAST)
    plain = {"adapter": adapter, "optimiser": AdamW(weight_decay=0.0), **settings}
    return Recipe((dataclasses.replace(stage, **plain),))


def equal(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 0.0) -> None:
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=tolerance)
    assert any(not torch.equal(value, weights(float64_policy("qwen2"))[name]) for name, value in one.items())


def test_copies_of_the_norms_are_trained_as_the_norms_themselves() -> None:
    equal(after(imitating(Norms())), after(imitating(Chosen("norm"))))


def test_scaling_every_output_is_ia3_on_every_output() -> None:
    scaled = Ssf(start="identity", shift="none", places=("linear",))
    equal(after(imitating(scaled)), after(imitating(Ia3(outputs=LINEAR, inputs=()))), GRADIENT)


def test_a_rank_stabilised_change_is_a_change_with_a_larger_alpha() -> None:
    equal(
        after(imitating(Lora(rank=4, alpha=3.0, variant="rslora"))),
        after(imitating(Lora(rank=4, alpha=6.0))),
        GRADIENT,
    )


def test_a_change_of_full_rank_reaches_any_weight() -> None:
    """With A the identity, B alone can make every weight any other one: here the transpose of itself."""
    policy = float64_policy("qwen2")
    attached = Lora(rank=32, alpha=32.0, targets=("layers.0.self_attn.q_proj",)).attach(policy, 0, {})
    layer = policy.model.get_submodule("model.layers.0.self_attn.q_proj")
    weight = layer.get_base_layer().weight.detach().clone()
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(torch.eye(32))
        layer.lora_B["default"].weight.copy_(weight.T - weight)
    attached.merge()
    found = policy.model.get_parameter("model.layers.0.self_attn.q_proj.weight")
    torch.testing.assert_close(found.detach(), weight.T, rtol=0, atol=GRADIENT)


@pytest.mark.parametrize("adapter", [Lora(), Lora(variant="rslora"), Ia3(), Norms(), Ssf(start="identity")], ids=str)
def test_what_begins_as_the_model_and_does_not_move_leaves_the_model(adapter: Adapter) -> None:
    for recipe in (imitating(adapter, steps=0), imitating(adapter, steps=2, learning_rate=0.0)):
        found, before = after(recipe), weights(float64_policy("qwen2"))
        assert all(torch.equal(found[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("method", "adapter"),
    [(lora, Lora(rank=2, targets=("q_proj", "v_proj"))), (ssf, Ssf(places=("linear",)))],
    ids=["lora", "ssf"],
)
def test_the_method_is_imitation_with_its_adapter(method, adapter: Adapter) -> None:
    own = method.recipe(toy_problems(), steps=3, adapter=adapter, supervision=FAST)
    changed = StageChanges(adapter=adapter).applied_to(sft.recipe(toy_problems(), steps=3, supervision=FAST))
    equal(after(own), after(changed))


@pytest.mark.parametrize("adapter", [Ssf(start="identity"), Ia3(), Norms()], ids=str)
def test_factors_are_not_decayed(adapter: Adapter) -> None:
    """Where nothing but decay would move them, they stay where they began."""
    stage = supervised.stage(toy_problems(), 2, FAST)
    silent = tuple(dataclasses.replace(term, coefficient=0.0) for term in stage.terms)
    still = dataclasses.replace(stage, terms=silent, adapter=adapter, optimiser=AdamW(weight_decay=0.5))
    found, before = after(Recipe((still,))), weights(float64_policy("qwen2"))
    assert all(torch.equal(found[name], before[name]) for name in before)


def test_matrices_are_decayed() -> None:
    recipes = [imitating(Lora(), optimiser=AdamW(weight_decay=decay)) for decay in (0.0, 0.5)]
    first, second = map(after, recipes)
    assert any(not torch.equal(first[name], second[name]) for name in first)
