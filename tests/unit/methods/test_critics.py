"""Settings of the methods with critics and teachers: whose they are, and that other published forms can be written."""

import pytest

from fixtures.toy import toy_problems
from posttrain.batching import PerSequence, PerToken
from posttrain.credit.gae import Gae, Whitened
from posttrain.credit.token_rewards import KlPenalty, LogRatio, Outcome, SumAtEnd
from posttrain.errors import UserError
from posttrain.frozen import FromFolder, Remembered, Snapshot
from posttrain.heads import ValueHead
from posttrain.methods import opd, ppo, srppo
from posttrain.objectives.value import ClippedValue
from posttrain.settings.building import build
from posttrain.stage import Stage
from posttrain.stages.proximal import ActorCritic
from posttrain.weights.snapshots import Keep


def coefficients(stage: Stage) -> dict[str, float]:
    return {term.name: term.coefficient for term in stage.terms}


def test_ppo_has_the_settings_of_the_reverse_curriculum_for_mathematics() -> None:
    (stage,) = ppo.recipe(toy_problems()).stages
    (stream,) = stage.streams
    assert (stage.steps, stage.learning_rate, stage.passes_over_rollouts) == (500, 3e-7, 2)
    assert (stream.prompts_per_step, stream.source.rollouts_per_prompt, stage.sampling.temperature) == (32, 1, 1.0)
    assert stream.credit == Gae(Outcome(), KlPenalty(0.05, "k1", "reference"), 1.0, 0.95, Whitened(1e-8))
    assert coefficients(stage) == {"policy": 1.0, "value": 5.0}
    assert stage.terms[1].objective == ClippedValue(0.2)
    assert {term.share for term in stage.terms} == {PerSequence()}
    assert stage.heads == {"value": ValueHead(1.0)}
    assert stage.signals_needed == {"old_values", "old_logprobs", "reference_logprobs"}


def test_other_published_forms_are_settings() -> None:
    tool_use = build(
        "ppo",
        {
            "credit": {"gae": {"whitening": None, "outcome": {"bound": 5}, "penalty": {"coefficient": 0.4}}},
            "actor_critic": {
                "share": "per_token",
                "passes_over_rollouts": 1,
                "learning_rate": 2e-7,
                "head": {"learning_rate_factor": 0.5},
            },
        },
    )
    assert tool_use["credit"] == Gae(Outcome(5.0), KlPenalty(0.4), whitening=None)
    assert tool_use["actor_critic"].share == PerToken()
    summaries = build("ppo", {"estimator": "k2", "coefficient": 5.0, "value_coefficient": 0.2})
    assert summaries["credit"] == Gae(penalty=KlPenalty(5.0, "k2"))
    assert summaries["actor_critic"] == ActorCritic(value_coefficient=0.2)


def test_self_rewarding_keeps_the_base_imitates_and_is_rewarded_at_the_end() -> None:
    keep, first, second = srppo.recipe(toy_problems()).stages
    assert keep == Keep("base")
    assert (first.name, first.steps, second.steps) == ("supervised", 500, 500)
    (stream,) = second.streams
    assert stream.credit == Gae(LogRatio("sft", "base", float("inf"), SumAtEnd()), KlPenalty(0.05, "k1", "sft"))
    assert stream.reward is None
    assert second.frozen == {"base": Remembered("base"), "sft": Snapshot()}
    assert coefficients(second) == {"policy": 1.0, "value": 0.1}


def test_supervision_before_self_rewarding_may_have_a_length_of_its_own() -> None:
    assert [part.steps for part in srppo.recipe(toy_problems(), steps=7, supervised_steps=3).stages[1:]] == [3, 7]


def test_distillation_has_eight_answers_to_each_of_64_prompts() -> None:
    (stage,) = opd.recipe(toy_problems()).stages
    (stream,) = stage.streams
    assert (stream.prompts_per_step, stream.source.rollouts_per_prompt, stage.learning_rate) == (64, 8, 5e-6)
    assert stream.reward is None
    assert not stage.heads
    assert {term.share for term in stage.terms} == {PerSequence()}


def test_exact_divergences_need_no_credit_and_no_pass_before_the_update() -> None:
    arguments = build("opd", {"divergence": "reverse_kl", "teacher": {"from_folder": {"folder": "expert"}}})
    (stage,) = opd.recipe(toy_problems(), **arguments).stages
    assert stage.streams[0].credit is None
    assert stage.signals_needed == frozenset()
    assert (stage.frozen_needed, stage.frozen) == ({"teacher"}, {"teacher": FromFolder("expert")})


def test_a_group_that_is_compared_has_at_least_two_answers() -> None:
    arguments = build("ppo", {"credit": "leave_one_out"})
    with pytest.raises(UserError, match=r"actor_critic\.rollouts_per_prompt must be at least 2"):
        ppo.recipe(toy_problems(), **arguments)
