"""Sorted fine-tuning is supervision of models that are cut off."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.folders import deep_policy
from fixtures.toy import toy_problems
from fixtures.training import SMALL_SUPERVISION, RecordingRuntime, run
from posttrain.blocks import up_to
from posttrain.methods import sft, soft
from posttrain.objectives.exits import AtDepths, AtFractions, EveryFew
from posttrain.policy import Policy
from posttrain.recipe import Recipe
from posttrain.stage import Stage
from tolerances import GRADIENT, MODEL, VISIBLE

ARCHITECTURES = pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def stage(exits: EveryFew | AtDepths | AtFractions, steps: int = 1) -> Stage:
    return only(soft.recipe(toy_problems(), steps=steps, exits=exits, supervision=SMALL_SUPERVISION))


def plain(steps: int = 1) -> Stage:
    return only(sft.recipe(toy_problems(), steps=steps, supervision=SMALL_SUPERVISION))


@ARCHITECTURES
@pytest.mark.parametrize("exits", [AtDepths((4,)), AtFractions((1.0,)), EveryFew(4, 0.5)], ids=str)
def test_with_the_last_exit_only_it_is_supervision(architecture: str, exits: AtDepths) -> None:
    ours, other = deep_policy(architecture), deep_policy(architecture)
    records, expected = run(stage(exits, 3), ours), run(plain(3), other)
    assert [r.losses["likelihood"] for r in records] == pytest.approx([r.losses["likelihood"] for r in expected])
    for a, b in zip(ours.model.parameters(), other.model.parameters(), strict=True):
        # Supervision leaves out what nobody reads of the last layer, exits read all layers.
        torch.testing.assert_close(a, b, rtol=0, atol=MODEL)


def gradients(stage: Stage, policy: Policy) -> dict[str, Tensor]:
    """Of each parameter that the policy has, in the first update."""
    runtime = RecordingRuntime()
    run(dataclasses.replace(stage, learning_rate=0.0), policy, runtime)
    sizes = [p.numel() for p in policy.trainable()]
    return dict(zip(policy.named_trainable(), runtime.gradients[0].split(sizes)))


@ARCHITECTURES
@pytest.mark.parametrize("depths", [(1,), (2, 4), (1, 2, 3)], ids=str)
def test_it_is_the_mean_of_the_supervision_of_models_that_are_cut_off(
    architecture: str, depths: tuple[int, ...]
) -> None:
    found = gradients(stage(AtDepths(depths)), deep_policy(architecture))
    parts = [gradients(plain(), up_to(deep_policy(architecture), depth)) for depth in depths]
    for name, gradient in found.items():
        expected = sum((part[name] for part in parts if name in part), torch.zeros_like(gradient)) / len(depths)
        torch.testing.assert_close(gradient, expected, rtol=GRADIENT, atol=GRADIENT)
    assert float(torch.cat(list(found.values())).norm()) > VISIBLE


@pytest.mark.parametrize("budget", [60, 1], ids=["2x4", "8x1"])
def test_no_cut_into_microbatches_changes_it(budget: int) -> None:
    found = []
    for size in (10_000, budget):
        settings = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8, tokens_per_microbatch=size)
        runtime = RecordingRuntime()
        made = soft.recipe(toy_problems(), steps=1, exits=AtDepths((1, 3, 4)), supervision=settings)
        (record,) = run(only(made), deep_policy("qwen2"), runtime)
        found.append((runtime, record))
    (whole, record), (cut, other) = found
    assert len(whole.passes) == 1 < len(cut.passes)
    torch.testing.assert_close(cut.gradients[0], whole.gradients[0], rtol=GRADIENT, atol=GRADIENT)
    assert other.losses == pytest.approx(record.losses, rel=GRADIENT)


def test_the_first_layers_learn_to_answer_by_themselves() -> None:
    """More than by supervision of the whole model, in the same steps."""
    settings = dataclasses.replace(SMALL_SUPERVISION, learning_rate=5e-3)
    losses = []
    for made in (
        soft.recipe(toy_problems(), steps=8, exits=EveryFew(1, 0.0), supervision=settings),
        sft.recipe(toy_problems(), steps=8, supervision=settings),
    ):
        policy = deep_policy("llama")
        run(only(made), policy)
        (record,) = run(dataclasses.replace(plain(), learning_rate=0.0), up_to(policy, 2))
        losses.append(record.losses["likelihood"])
    assert losses[0] < losses[1] - VISIBLE


def test_its_defaults_are_the_papers() -> None:
    made = only(soft.recipe(toy_problems()))
    assert made.terms[0].objective.exits(40) == (12, 16, 20, 24, 28, 32, 36, 40)
    assert made.streams[0].prompts_per_step == 256
