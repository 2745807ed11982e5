"""Settings of the methods: defaults of the papers, and what is refused."""

import dataclasses

import pytest

from fixtures.toy import toy_problems
from fixtures.training import SMALL
from posttrain.batching import PerConstant, PerToken
from posttrain.errors import UserError
from posttrain.methods import r3, rft, sft, sft_rft, staged, uft
from posttrain.objectives.kl import EstimatedKl, ExactKl
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import BinomialCosine, StagedHints, UniformHints
from posttrain.stage import Problems, Stage
from posttrain.stages.reinforced import Reinforcement
from posttrain.types import Demonstration, Progress


def only(recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def coefficients(stage: Stage) -> dict[str, float]:
    return {term.name: term.coefficient for term in stage.terms}


def test_reinforcement_has_the_defaults_of_the_unified_papers_baseline() -> None:
    stage = only(rft.recipe(toy_problems()))
    (stream,) = stage.streams
    assert (stage.steps, stage.learning_rate, stage.groups_per_update) == (500, 1e-6, 64)
    assert (stream.prompts_per_step, stream.source.rollouts_per_prompt) == (256, 4)
    assert (stage.sampling.temperature, stage.sampling.max_new_tokens) == (1.0, 1024)
    assert (stage.optimiser.clip_norm, stage.optimiser.weight_decay) == (1.0, 0.01)
    assert coefficients(stage) == {"policy": 1.0, "kl": 0.001, "entropy": 0.001}
    assert all(term.share == PerToken() for term in stage.terms)
    assert stage.terms[1].objective == EstimatedKl("k3")
    assert (stage.terms[0].objective.clip.low, stage.terms[0].objective.clip.high) == (0.2, 0.2)


def test_unified_fine_tuning_adds_hints_and_their_likelihood() -> None:
    stage = only(uft.recipe(toy_problems()))
    source = stage.streams[0].source
    assert coefficients(stage) == {"policy": 1.0, "kl": 0.001, "entropy": 0.001, "hint likelihood": 0.001}
    assert source == Hinted(4, BinomialCosine(0.95, 0.05), 5, hint_includes_answer=False)
    assert source.law.hinted.of(500) == 300


def test_the_papers_form_has_one_coefficient_the_exact_divergence_sums_and_no_bonus() -> None:
    stage = only(uft.recipe(toy_problems(), **uft.paper_form(beta=0.01)))
    assert coefficients(stage) == {"policy": 1.0, "kl": 0.01, "hint likelihood": 0.01}
    assert {term.share for term in stage.terms} == {PerConstant(1)}
    assert stage.terms[1].objective == ExactKl()


def test_the_baselines_differ_in_their_hints_and_likelihood() -> None:
    reverse, stages = only(r3.recipe(toy_problems())), only(staged.recipe(toy_problems()))
    assert reverse.streams[0].source.law == UniformHints()
    assert "hint likelihood" not in coefficients(reverse)
    assert stages.streams[0].source.law == StagedHints()
    assert coefficients(stages)["hint likelihood"] == 0.001


def test_supervision_warms_up_over_a_tenth_and_falls_to_zero() -> None:
    stage = only(sft.recipe(toy_problems(), steps=500))
    rates = [stage.learning_rate_at(Progress(step, 500, 0)) for step in range(500)]
    assert 0 < rates[0] < rates[25] < rates[50]
    assert max(rates) < 1e-5
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] < max(rates) / 100
    assert stage.optimiser.betas == (0.9, 0.95)


def test_two_stages_get_equal_steps_unless_told_otherwise() -> None:
    assert [s.steps for s in sft_rft.recipe(toy_problems(), steps=7).stages] == [7, 7]
    assert [s.steps for s in sft_rft.recipe(toy_problems(), steps=7, supervised_steps=2).stages] == [2, 7]


def with_first(*demonstrations: Demonstration) -> Problems:
    """The toy problems, the first of them with these demonstrations."""
    problems = toy_problems()
    first = dataclasses.replace(problems.examples[0], demonstrations=demonstrations)
    return dataclasses.replace(problems, examples=(first, *problems.examples[1:]))


@pytest.mark.parametrize("method", [sft, sft_rft, uft, r3, staged], ids=lambda module: module.__name__)
def test_a_missing_demonstration_is_refused_where_it_is_needed(method) -> None:
    with pytest.raises(UserError, match="'toy-0' has no demonstration"):
        method.recipe(with_first())


def test_reinforcement_needs_no_demonstrations() -> None:
    assert rft.recipe(with_first())


@pytest.mark.parametrize("method", [uft, r3, staged], ids=lambda module: module.__name__)
def test_a_demonstration_without_chunks_makes_no_hints(method) -> None:
    with pytest.raises(UserError, match="'toy-0' has no chunks"):
        method.recipe(with_first(Demonstration((), ".a")))


def test_a_demonstration_without_chunks_can_be_imitated() -> None:
    assert sft.recipe(with_first(Demonstration((), ".a")))


def test_terms_with_coefficient_zero_are_left_out() -> None:
    bare = dataclasses.replace(SMALL, kl_coefficient=0.0, entropy=0.0)
    stage = only(uft.recipe(toy_problems(), steps=1, likelihood=0.0, reinforcement=bare))
    assert list(coefficients(stage)) == ["policy"]
    assert not stage.frozen_needed


@pytest.mark.parametrize(
    "settings", [{"prompts_per_step": 0}, {"rollouts_per_prompt": 0}, {"rollouts_per_prompt": 1}], ids=str
)
def test_settings_that_could_teach_nothing_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at least [12]"):
        Reinforcement(**settings)
