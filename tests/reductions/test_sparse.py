"""Where sparse fine-tuning is dense, masked, or random fine-tuning."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_SUPERVISION, RecordingRuntime, continue_run, run, run_recipe
from posttrain.adapters.chosen import Chosen
from posttrain.adapters.growth import ByGradients, ByMoments
from posttrain.adapters.masked import AtRandom, Largest, Masked
from posttrain.adapters.spiel import LinearReplacement, Spiel, trunk_matrices
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.loop import start, train
from posttrain.methods import lfu, lt_sft, sft, spiel
from posttrain.objectives.undesirable import AscentInStates, AscentInWeights
from posttrain.optimisers.per_entry import PerEntryAdamW
from posttrain.optimisers.sm3 import Sm3
from posttrain.policy import Policy
from posttrain.recipe import Recipe, Workspace
from posttrain.runs import checkpoint
from posttrain.stage import AdamW, Stage
from posttrain.types import Progress
from posttrain.weights.vectors import difference
from tolerances import GRADIENT, VISIBLE

SUPERVISION = dataclasses.replace(SMALL_SUPERVISION, betas=(0.9, 0.999), weight_decay=0.0, learning_rate=1e-2)
FIXED = LinearReplacement(0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class GradientMask:
    """Dense training whose gradient is multiplied by a mask: how the papers' baselines hold entries still."""

    support: Mapping[str, Tensor]

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> "Masking":
        return Masking(policy, self.support)


@dataclasses.dataclass(frozen=True)
class Masking:
    policy: Policy
    support: Mapping[str, Tensor]

    def before_update(self, optimiser: Any, now: Progress) -> None:
        for name, parameter in self.policy.model.named_parameters():
            kept = torch.zeros(parameter.numel(), dtype=torch.bool)
            kept[self.support.get(name, [])] = True
            parameter.grad.view(-1)[~kept] = 0.0

    def after_update(self, optimiser: Any, now: Progress) -> None:
        pass

    def merge(self) -> None:
        pass


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def after(stage: Stage, policy: Policy | None = None, **remembered: Policy) -> dict[str, Tensor]:
    """The weights after a stage, its adapter merged."""
    policy = policy or tiny_policy()
    session = start(stage, policy, 0, remembered=remembered)
    continue_run(session)
    if session.adapter is not None:
        session.adapter.merge()
    return weights(policy)


def close(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    before = weights(tiny_policy())
    assert sum(float((one[name] - before[name]).norm()) for name in before) > VISIBLE
    for name in before:
        torch.testing.assert_close(one[name], other[name], rtol=GRADIENT, atol=GRADIENT)


def sparse_stage(steps: int = 6, **settings: Any) -> Stage:
    recipe = spiel.recipe(toy_problems(), steps=steps, supervision=SUPERVISION, **settings)
    return only(recipe)


def support_of(adapter: Any) -> dict[str, Tensor]:
    attached = adapter.attach(tiny_policy(), 0, {})
    return {name: delta.indices for name, delta in attached.deltas.deltas.items()}


# --- a fixed support


@pytest.mark.parametrize("adapter", [Masked(0.05, AtRandom()), Spiel(0.05, replacement=FIXED, every=3, looking=2)])
def test_a_fixed_support_is_dense_training_with_masked_gradients(adapter) -> None:
    stage = dataclasses.replace(sparse_stage(), optimiser=AdamW(weight_decay=0.0, clip_norm=float("inf")))
    masked = dataclasses.replace(stage, adapter=GradientMask(support_of(adapter)))
    close(after(dataclasses.replace(stage, adapter=adapter)), after(masked))


def test_the_gradients_norm_is_that_of_the_trained_entries() -> None:
    adapter = Masked(0.05, AtRandom())
    stage = dataclasses.replace(sparse_stage(2), optimiser=AdamW(weight_decay=0.0, clip_norm=1e-2), adapter=adapter)
    masked = dataclasses.replace(stage, adapter=GradientMask(support_of(adapter)))
    norms = [[r.gradient_norm for r in run(s, tiny_policy(), RecordingRuntime())] for s in (stage, masked)]
    assert norms[0] == pytest.approx(norms[1], rel=GRADIENT)
    close(after(stage), after(masked))


def test_decay_draws_trained_entries_to_where_they_were_and_no_others() -> None:
    adapter = Masked(0.05, AtRandom())
    decayed = dataclasses.replace(sparse_stage(), optimiser=AdamW(weight_decay=95.0), adapter=adapter)
    free = dataclasses.replace(decayed, optimiser=AdamW(weight_decay=0.0))
    before, support = weights(tiny_policy()), support_of(adapter)
    distances = []
    for stage in (decayed, free):
        found, far = after(stage), 0.0
        for name, value in found.items():
            untouched = torch.ones(value.numel(), dtype=torch.bool)
            untouched[support.get(name, [])] = False
            assert torch.equal(value.flatten()[untouched], before[name].flatten()[untouched])
            far += float((value - before[name]).norm())
        distances.append(far)
    assert distances[0] < distances[1] / 2


@pytest.mark.parametrize("optimiser", [AdamW(weight_decay=0.0), PerEntryAdamW(epsilon=1e-8)], ids=str)
def test_the_whole_support_is_dense_training(optimiser) -> None:
    stage = dataclasses.replace(sparse_stage(), optimiser=optimiser)
    everything = dataclasses.replace(stage, adapter=Masked(1.0, AtRandom()))
    dense = dataclasses.replace(stage, adapter=None, optimiser=AdamW(weight_decay=0.0))
    close(after(everything), after(dense))


# --- SpIEL


def test_spiel_of_full_density_is_dense_training_of_the_matrices() -> None:
    stage = sparse_stage(8, density=1.0, every=3, looking=1)
    names = "|".join(f"^{name}$" for name in trunk_matrices(tiny_policy()))
    settings = AdamW(epsilon=1e-6, weight_decay=0.0)
    dense = dataclasses.replace(stage, adapter=Chosen(names), optimiser=settings)
    close(after(stage), after(dense))


def test_spiel_never_trains_more_entries_than_its_density() -> None:
    policy = tiny_policy()
    session = start(sparse_stage(9, density=0.05, every=4, looking=2), policy, seed=0)
    most = int(0.05 * tiny_policy().parameters_count)
    continue_run(session)
    numbers = [s.numel() for state in session.optimiser.state.values() for s in state.values()]
    assert sum(numbers) <= 3 * most
    assert all(p.grad is None for p in policy.model.parameters())
    session.adapter.merge()
    moved = sum(
        int((v != before).sum()) for v, before in zip(weights(policy).values(), weights(tiny_policy()).values())
    )
    assert 0 < moved <= most


def test_spiel_lowers_the_loss_more_than_the_random_support_that_it_begins_with() -> None:
    settings = {"steps": 20, "density": 0.01, "every": 6, "looking": 2}
    losses = []
    for replacement in (LinearReplacement(), FIXED):
        records = run(sparse_stage(**settings, replacement=replacement), tiny_policy())
        losses.append(sum(r.losses["likelihood"] for r in records[-6:]))
    assert losses[0] < losses[1]


@pytest.mark.parametrize("neighbour", [AscentInWeights(), AscentInStates()])
def test_spiel_grows_by_the_gradients_of_updates_whatever_a_part_differentiates_beside_them(neighbour) -> None:
    plain = sft.recipe(toy_problems(), steps=5, supervision=SUPERVISION)
    beside = lfu.recipe(
        toy_problems(), steps=5, neighbour=neighbour, consistency=1e-30, supervision=SUPERVISION
    )  # a coefficient that leaves the loss alone, and the ascent as it is
    adapter = Spiel(0.05, every=4, looking=2)
    first, second = (after(dataclasses.replace(only(recipe), adapter=adapter)) for recipe in (plain, beside))
    close(first, second)


def test_each_growth_has_the_rate_and_the_decay_of_its_own_sources() -> None:
    def settings(growth: ByGradients | ByMoments) -> tuple[float, float, type]:
        stage = only(spiel.recipe(toy_problems(), steps=100, growth=growth))
        return stage.learning_rate.then.start, stage.optimiser.weight_decay, type(stage.optimiser)

    assert settings(ByGradients()) == (1e-5, 30.0, PerEntryAdamW)
    assert settings(ByMoments()) == (7e-4, 0.0, Sm3)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_spiel_goes_on_from_a_checkpoint_bit_for_bit(stop: int, tmp_path) -> None:
    stage = sparse_stage(9, density=0.05, every=4, looking=2)
    whole = after(stage)
    first = start(stage, tiny_policy(), seed=0)
    train(first, CPU, lambda record: record.now.step + 1 < stop)
    checkpoint.save(tmp_path / "checkpoint", first, 0, 0.0)
    policy = tiny_policy()
    policy.model.load_state_dict(first.adapter.plain_weights())
    second = start(stage, policy, seed=0)
    checkpoint.restore(second, checkpoint.read(tmp_path / "checkpoint"))
    continue_run(second)
    second.adapter.merge()
    found = weights(policy)
    assert all(torch.equal(found[name], whole[name]) for name in whole)


# --- LT-SFT


def tickets(**settings: Any) -> Recipe:
    chosen = {"steps": 5, "density": 0.05, "supervision": SUPERVISION, **settings}
    return lt_sft.recipe(toy_problems(), **chosen)


def outcome(recipe: Recipe) -> dict[str, Tensor]:
    policy = tiny_policy()
    run_recipe(recipe, policy)
    return weights(policy)


def stage_of(recipe: Recipe, name: str) -> Stage:
    (stage,) = [part for part in recipe.stages if isinstance(part, Stage) and part.name == name]
    return stage


def remembering(recipe: Recipe, policy: Policy) -> Workspace:
    """The workspace after the recipe."""
    workspace = Workspace(policy, HuggingFaceEngine(), 0)
    for part in recipe.stages:
        if isinstance(part, Stage):
            session = start(part, policy, 0, remembered=workspace.remembered)
            continue_run(session)
            session.adapter.merge()
        else:
            workspace = part.run(workspace)
    return workspace


def moved(one: Mapping[str, Tensor]) -> Tensor:
    before = weights(tiny_policy())
    return torch.cat([(value != before[name]).flatten() for name, value in one.items()])


def test_all_entries_make_it_supervision() -> None:
    recipe = tickets(density=1.0, names="", dense_steps=0)
    plain = dataclasses.replace(stage_of(recipe, "sparse 1"), adapter=None)
    close(outcome(recipe), after(plain))


def test_what_moved_most_densely_is_what_is_trained_and_nothing_else() -> None:
    recipe = tickets()
    dense = after(stage_of(recipe, "dense 1"), pretrained=tiny_policy().frozen_copy())
    before = weights(tiny_policy())
    scores = {n: (dense[n] - before[n]).abs() for n in before if "norm" not in n}
    assert all(torch.equal(dense[n], before[n]) for n in before if n not in scores)
    count = int(0.05 * sum(s.numel() for s in scores.values()))
    threshold = torch.cat([s.flatten() for s in scores.values()]).topk(count).values[-1]
    expected = {n: (scores[n] >= threshold) if n in scores else torch.zeros_like(before[n]).bool() for n in before}
    found = outcome(recipe)
    assert sum(int(e.sum()) for e in expected.values()) == count
    for name in before:
        assert torch.equal(found[name] != before[name], expected[name])


def test_the_sparse_stage_begins_from_the_pretrained_weights_with_a_fresh_optimiser() -> None:
    recipe = tickets()
    workspace = remembering(recipe, tiny_policy())
    alone = after(stage_of(recipe, "sparse 1"), **workspace.remembered)
    found = outcome(recipe)
    assert all(torch.equal(found[name], alone[name]) for name in found)


@pytest.mark.parametrize("entries", [AtRandom(), Largest()])
def test_entries_that_no_dense_training_finds_are_trained_without_any(entries: AtRandom | Largest) -> None:
    recipe = tickets(entries=entries)
    assert [part.name for part in recipe.stages if isinstance(part, Stage)] == ["sparse 1"]
    found = outcome(recipe)
    after_dense = dataclasses.replace(stage_of(tickets(), "sparse 1"), adapter=Masked(0.05, entries, lt_sft.TRUNK))
    searched = tuple(after_dense if part.name == "sparse 1" else part for part in tickets().stages)
    other = outcome(Recipe(searched))  # as if a dense stage had been trained and rewound
    assert all(torch.equal(found[name], other[name]) for name in found)
    assert not torch.equal(moved(found), moved(outcome(tickets())))
    with pytest.raises(UserError, match="a dense stage would change nothing"):
        tickets(entries=entries, dense_steps=3)


def test_several_iterations_widen_the_support_from_where_they_stand() -> None:
    first, second = outcome(tickets(density=0.03)), outcome(tickets(density=0.06, iterations=2))
    assert bool((moved(second) | ~moved(first)).all())  # what the first iteration chose stays chosen
    maskable = sum(value.numel() for name, value in first.items() if "norm" not in name)
    assert int(moved(first).sum()) == int(0.03 * maskable)
    assert int(moved(second).sum()) == 2 * int(0.03 * maskable)


def test_a_strong_penalty_keeps_the_vector_small() -> None:
    free, drawn = outcome(tickets()), outcome(tickets(l1=1e5))
    before = weights(tiny_policy())
    far = [sum(float((value - before[name]).abs().sum()) for name, value in one.items()) for one in (free, drawn)]
    assert far[1] < far[0] / 2


def test_the_vector_is_sparse_and_can_be_added_elsewhere() -> None:
    recipe, policy = tickets(), tiny_policy()
    workspace = remembering(recipe, policy)
    vector = difference(policy, workspace.recalled("pretrained"))
    maskable = sum(value.numel() for name, value in vector.items() if "norm" not in name)
    assert sum(int((value != 0).sum()) for value in vector.values()) == int(0.05 * maskable)
