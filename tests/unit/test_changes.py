"""Changing the stages of a recipe from outside."""

import dataclasses
from pathlib import Path

import pytest
import torch

from fixtures.models import tiny_policy, weights, with_scorer
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL, SMALL_SUPERVISION, run_recipe
from posttrain.adapters.chosen import Chosen
from posttrain.adapters.lora import Lora
from posttrain.changes import RewardModel, StageChanges
from posttrain.errors import UserError
from posttrain.frozen import AdapterOff, Snapshot
from posttrain.heads import load_reward_model
from posttrain.methods import rft, sft, sft_rft, uft
from posttrain.recipe import Later, Recipe, Workspace
from posttrain.rewards.model_score import ModelScore
from posttrain.runs.checkpoint import save_model
from tolerances import FLOAT32_MODEL

TWO = sft_rft.recipe(toy_problems(), steps=2, supervision=SMALL_SUPERVISION, reinforcement=SMALL)


class Pause:
    """An interlude that does nothing."""

    name = "pause"

    def run(self, workspace: Workspace) -> Workspace:
        return workspace


@dataclasses.dataclass(frozen=True)
class Critical:
    """A selection that reads values, which most stages do not have."""

    needs: frozenset[str] = frozenset({"old_values"})
    emphasises = frozenset[str]()


def test_no_change_is_no_change() -> None:
    assert StageChanges().applied_to(TWO).stages[0].adapter is None
    changed, plain = tiny_policy(), tiny_policy()
    run_recipe(StageChanges().applied_to(TWO), changed)
    run_recipe(TWO, plain)
    assert all(torch.equal(value, weights(plain)[name]) for name, value in weights(changed).items())


def test_every_training_stage_is_changed_and_nothing_else_of_it() -> None:
    changed = StageChanges(adapter=Lora(rank=2), reference=AdapterOff()).applied_to(TWO)
    for stage, before in zip(changed.stages, TWO.stages, strict=True):
        assert (stage.adapter, stage.frozen) == (Lora(rank=2), {"reference": AdapterOff()})
        assert dataclasses.replace(stage, adapter=None, frozen=before.frozen).__dict__ == before.__dict__


def test_stages_that_are_not_meant_stay_as_they_are() -> None:
    first, second = StageChanges(adapter=Lora(), only=("reinforced",)).applied_to(TWO).stages
    assert first is TWO.stages[0]
    assert second.adapter == Lora()


def test_stages_that_are_not_there_are_refused() -> None:
    with pytest.raises(UserError, match="unknown training stage 'reinforce'; did you mean 'reinforced'"):
        StageChanges(only=("reinforce",)).applied_to(TWO)


def test_what_a_method_has_of_its_own_is_kept_unless_it_is_replaced() -> None:
    both = {"teacher": Snapshot(), "reference": Snapshot()}
    own = Recipe((dataclasses.replace(TWO.stages[1], adapter=Chosen("norm"), frozen=both),))
    assert StageChanges().applied_to(own).stages[0].adapter == Chosen("norm")
    replaced = StageChanges(adapter=Lora(), reference=AdapterOff()).applied_to(own).stages[0]
    assert replaced.adapter == Lora()
    assert replaced.frozen == {"teacher": Snapshot(), "reference": AdapterOff()}


def test_stages_that_are_composed_later_are_changed_when_they_are() -> None:
    (stage,) = sft.recipe(toy_problems(), steps=2, supervision=SMALL_SUPERVISION).stages
    recipe = Recipe((Pause(), Later(stage.name, 2, lambda workspace: stage)))
    changed = StageChanges(adapter=Chosen("norm"), only=(stage.name,)).applied_to(recipe)
    policy, before = tiny_policy(), weights(tiny_policy())
    run_recipe(changed, policy)
    moved = {name for name, value in weights(policy).items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if "norm" in name}


def test_a_part_that_a_stage_cannot_have_is_refused() -> None:
    with pytest.raises(UserError, match="the selection reads a head, but the stage has no head 'value'"):
        StageChanges(selection=Critical()).applied_to(TWO)


def test_unified_fine_tuning_of_an_adapter_against_the_model_without_it() -> None:
    """Sampling, reference and update all go through the adapted model, and a copy as reference changes nothing."""
    settings = dataclasses.replace(SMALL, kl_coefficient=0.1)
    recipe = uft.recipe(toy_problems(), steps=3, reinforcement=settings)
    found = []
    for reference in (AdapterOff(), None):
        policy = tiny_policy()
        records = run_recipe(StageChanges(adapter=Lora(rank=2), reference=reference).applied_to(recipe), policy)
        found.append((weights(policy), [r.losses for r in records], [r.gradient_norm for r in records]))
    (first, losses, norms), (second, *others) = found
    assert [losses, norms] == others
    assert any(step["kl"] for step in losses)
    assert all(torch.equal(first[name], second[name]) for name in first)
    before = weights(tiny_policy())
    assert {n for n in before if not torch.equal(first[n], before[n])} == {n for n in before if "proj.weight" in n}


def test_a_reference_that_nobody_reads_is_refused() -> None:
    supervised, reinforced = (stage.name for stage in TWO.stages)
    assert StageChanges(reference=AdapterOff(), only=(reinforced,)).applied_to(TWO).stages[0] is TWO.stages[0]
    for changes, recipe in (
        (StageChanges(reference=AdapterOff(), only=(supervised,)), TWO),
        (StageChanges(reference=AdapterOff()), sft.recipe(toy_problems(), steps=2)),
    ):
        with pytest.raises(UserError, match="nothing in these stages reads a reference"):
            changes.applied_to(recipe)
    read = dataclasses.replace(Critical(), needs=frozenset({"reference_logprobs"}))
    assert StageChanges(reference=AdapterOff(), selection=read).applied_to(sft.recipe(toy_problems(), steps=2)).stages


def test_a_reference_that_would_move_is_refused() -> None:
    recipe = rft.recipe(toy_problems(), steps=1, reinforcement=SMALL)
    with pytest.raises(UserError, match="take a snapshot, or an adapter that leaves them alone, such as lora"):
        run_recipe(StageChanges(reference=AdapterOff()).applied_to(recipe), tiny_policy())


@pytest.fixture
def scorer(tmp_path: Path) -> RewardModel:
    model = with_scorer(tiny_policy(seed=2))
    save_model(tmp_path, model)
    return RewardModel(str(tmp_path))


def test_a_reward_model_judges_where_answers_are_judged_and_nowhere_else(scorer: RewardModel) -> None:
    first, second = StageChanges(reward=scorer).applied_to(TWO).stages
    assert first.streams == TWO.stages[0].streams
    judge = ModelScore(load_reward_model(scorer.folder, CPU))
    records = run_recipe(Recipe((first, second)), tiny_policy())
    judged = [r for record in records for r in record.collection.rollouts if r.verdict is not None]
    assert judged
    for rollout in judged:
        expected = judge.score(rollout.example.prompt, rollout.response)
        assert rollout.reward == pytest.approx(expected, rel=FLOAT32_MODEL, abs=FLOAT32_MODEL)


def test_a_reward_model_with_nothing_to_judge_is_refused(scorer: RewardModel) -> None:
    with pytest.raises(UserError, match="no answer is judged in these stages"):
        StageChanges(reward=scorer).applied_to(sft.recipe(toy_problems(), steps=2))


def test_a_folder_without_a_reward_model_is_refused_at_once(tmp_path: Path) -> None:
    save_model(tmp_path, tiny_policy())
    with pytest.raises(UserError, match="no reward model"):
        RewardModel(str(tmp_path))
