"""What everything between stages that keeps or moves weights promises."""

import pytest

from fixtures.models import tiny_policy
from fixtures.parts import weights_between
from fixtures.walking import Case
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.recipe import Workspace

BETWEEN = pytest.mark.parametrize("case", weights_between(), ids=str)


@BETWEEN
def test_it_has_a_name_and_hands_the_workspace_on(case: Case) -> None:
    part = case.construct()
    assert part.name
    policy = tiny_policy()
    before = Workspace(policy, HuggingFaceEngine(), seed=0, remembered={"base": tiny_policy(1).frozen_copy()})
    after = part.run(before)
    assert after.policy is policy
    assert set(before.remembered) <= set(after.remembered)


@BETWEEN
def test_it_is_a_frozen_value(case: Case) -> None:
    assert case.construct() == case.construct()
    assert hash(case.construct()) == hash(case.construct())
