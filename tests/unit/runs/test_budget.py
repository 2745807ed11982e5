"""Supervised arms make as many updates as reinforced ones."""

import pytest

from posttrain.errors import UserError
from posttrain.runs.budget import refuse_tuned_budget, shared_updates, with_equal_updates
from posttrain.runs.spec import RunSpec

FOUR = {"reinforcement": {"prompts_per_step": 10, "groups_per_update": 3}}
ONE = {"reinforcement": {"groups_per_update": None}}


def test_sft_gets_the_updates_of_the_reinforced_arm():
    assert shared_updates({"sft": "sft", "rft": "rft"}, {"rft": FOUR}) == 4
    assert with_equal_updates(RunSpec("sft", "out", steps=5), 4).steps == 20


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


@pytest.mark.parametrize("setting", ["reinforcement.groups_per_update", "rollouts_per_prompt"])
def test_a_budget_is_not_tuned_per_arm(setting: str) -> None:
    with pytest.raises(UserError, match="another budget"):
        refuse_tuned_budget(("rft", "uft"), [setting])
    refuse_tuned_budget(("rft",), [setting])
    refuse_tuned_budget(("sft", "uft"), ["supervision.prompts_per_step", "reinforcement.learning_rate"])
