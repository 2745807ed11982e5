"""Supervised arms make as many updates as sampled ones, and arms that sample unequally many answers are told apart."""

import importlib

import pytest

from fixtures.tools import tool_problems
from fixtures.toy import toy_problems
from posttrain.errors import UserError
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.runs.budget import (
    completions,
    refuse_tuned_budget,
    said_of_budgets,
    shared_updates,
    updates_per_step,
    with_equal_updates,
)
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import build
from posttrain.settings.catalogue import method_names
from posttrain.stage import Stage

FOUR = {"reinforcement": {"prompts_per_step": 10, "groups_per_update": 3}}
SAMPLING = (OnPolicy, Hinted, Mixed)
ONE = {"reinforcement": {"groups_per_update": None}}


def test_sft_gets_the_updates_of_the_reinforced_arm():
    assert shared_updates({"sft": "sft", "rft": "rft"}, {"rft": FOUR}) == 4
    assert with_equal_updates(RunSpec("sft", "out", steps=5), 4).steps == 20


@pytest.mark.parametrize("method", ["sft", "lora", "grape", "dpo", "budget", "reward_model"])
def test_so_does_every_method_that_samples_nothing(method: str) -> None:
    shared = shared_updates({"first": method, "rft": "rft"}, {"rft": FOUR})
    assert with_equal_updates(RunSpec(method, "out", steps=5), shared).steps == 20


def test_passes_over_a_collection_are_updates_too():
    assert updates_per_step("ppo", {"actor_critic": {"prompts_per_step": 6, "groups_per_update": 4}}) == 2 * 2
    assert with_equal_updates(RunSpec("srppo", "out", steps=5), 1).arguments == {}
    twice = {"actor_critic": {"passes_over_rollouts": 2}}
    assert with_equal_updates(RunSpec("srppo", "out", steps=5, arguments=twice), 1).arguments["supervised_steps"] == 10


@pytest.mark.parametrize("method", method_names())
def test_what_the_settings_say_is_what_the_stages_do(method: str) -> None:
    problems = tool_problems() if method == "tl_training" else toy_problems()
    arguments = {"teacher": {"from_folder": {"folder": "x"}}} if method == "opd" else {}
    recipe = importlib.import_module(f"posttrain.methods.{method}").recipe(problems, **build(method, arguments))
    parts = [part for part in recipe.stages if isinstance(part, Stage)]
    sampled = [part for part in parts if any(isinstance(s.source, SAMPLING) for s in part.streams)]
    assert (updates_per_step(method, arguments) is not None) == bool(sampled)
    for stage in sampled:
        prompts = sum(stream.prompts_per_step for stream in stage.streams)
        parts_of_it = -(-prompts // (stage.groups_per_update or prompts))
        assert updates_per_step(method, arguments) == parts_of_it * stage.passes_over_rollouts
    assert bool(completions(RunSpec(method, "out", steps=3, arguments=arguments))) == bool(sampled)


@pytest.mark.parametrize(
    ("method", "arguments", "each_step"),
    [
        ("sft", {}, 0),
        ("rft", {}, 256 * 4),
        ("ppo", {}, 32),
        ("luffy", {}, 128 * 7),
        ("luffy", {"demonstrations_per_prompt": 3}, 128 * 5),
        ("prefix_rft", {}, 128 * 8),
        ("past", {"rounds": 3}, 3 * 256 * 4),
        ("opd", {}, 64 * 8),
    ],
)
def test_answers_that_a_method_samples(method, arguments, each_step):
    assert completions(RunSpec(method, "out", steps=10, arguments=arguments)) == 10 * each_step


def test_a_second_sampled_stage_samples_too():
    run = RunSpec("opd", "out", steps=10, arguments={"reinforced_steps": 2})
    assert completions(run) == 10 * 64 * 8 + 2 * 256 * 4


def test_unequal_numbers_of_answers_are_said():
    arms = {"sft": RunSpec("sft", "out", steps=2), "rft": RunSpec("rft", "out", steps=2)}
    assert said_of_budgets(arms, 1) == []
    assert said_of_budgets(arms, 4) == [
        "supervised updates for every step, as many as are made on sampled answers: sft 4"
    ]
    (sentence,) = said_of_budgets({**arms, "other": RunSpec("luffy", "out", steps=2)}, 1)
    assert "rft 2,048, other 1,792" in sentence
    assert "sft" not in sentence


def test_the_supervised_stage_gets_the_updates_of_its_own_reinforced_one():
    run = RunSpec("sft_rft", "out", steps=5, arguments=FOUR)
    assert with_equal_updates(run, 1).arguments["supervised_steps"] == 20
    given = RunSpec("sft_rft", "out", steps=5, arguments={**FOUR, "supervised_steps": 7})
    assert with_equal_updates(given, 4) == given


def test_one_update_per_step_changes_nothing():
    assert shared_updates({"sft": "sft", "rft": "rft"}, {"rft": ONE}) == 1
    for run in (RunSpec("sft", "out"), RunSpec("sft_rft", "out", arguments=ONE), RunSpec("rft", "out", arguments=FOUR)):
        assert with_equal_updates(run, 1) == run


def test_arms_that_differ_leave_no_number_for_sft():
    with pytest.raises(UserError, match="many 4, uft 1"):
        shared_updates({"plain": "sft", "many": "rft", "uft": "uft"}, {"many": FOUR, "uft": ONE})


@pytest.mark.parametrize(
    "setting",
    [
        *("reinforcement.groups_per_update", "rollouts_per_prompt", "actor_critic.prompts_per_step"),
        *("distillation.rollouts_per_prompt", "actor_critic.passes_over_rollouts", "supervision.prompts_per_step"),
        *("demonstrations_per_prompt", "rounds", "steps"),
    ],
)
def test_a_budget_is_not_tuned_per_arm(setting: str) -> None:
    with pytest.raises(UserError, match="another budget"):
        refuse_tuned_budget(("rft", "uft"), [setting])
    refuse_tuned_budget(("rft",), [setting])
    refuse_tuned_budget(("sft", "uft"), ["supervision.weight_decay", "reinforcement.learning_rate"])
