"""What every reward promises."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.parts import rewards
from fixtures.sequences import rollout, spell
from fixtures.tools import tool_example
from fixtures.toy import toy_examples
from fixtures.walking import Case
from posttrain.types import Example, Group, Verdict

REWARDS = pytest.mark.parametrize("case", rewards(), ids=str)
TOY, CALL = toy_examples(1)[0], tool_example()
GOLD = {"GradedToolCalls": (CALL, CALL.answer)}
"""Rewards that judge other things than the toy problem, with an example and its gold answer."""

OF_THEIR_OWN_UNITS = ("ModelScore",)
"""Rewards that know no right or wrong."""


def example_and_gold(case: Case) -> tuple[Example, str]:
    return GOLD.get(case.part.__name__, (TOY, TOY.demonstrations[0].text))


def group(case: Case, responses: list[str]) -> Group:
    blank = rollout([5, 3], spell("ps"), example=example_and_gold(case)[0])
    return tuple(dataclasses.replace(blank, response=response) for response in responses)


@REWARDS
@given(responses=st.lists(st.text(), min_size=1, max_size=5))
def test_a_verdict_per_rollout_on_any_text(case: Case, responses: list[str]) -> None:
    verdicts = case.construct()(group(case, responses))
    assert len(verdicts) == len(responses)
    assert all(isinstance(verdict, Verdict) for verdict in verdicts)
    assert verdicts == case.construct()(group(case, responses))


@REWARDS
def test_several_threads_at_once_get_the_verdicts_of_one(case: Case) -> None:
    reward, texts = case.construct(), ["", "a", ".a", "f('\\d')", "b" * 9, example_and_gold(case)[1]] * 4
    groups = [group(case, [text, text[:1], texts[at - 1]]) for at, text in enumerate(texts)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(reward, groups)) == [reward(some) for some in groups]


@pytest.mark.parametrize("case", [c for c in rewards() if c.part.__name__ not in OF_THEIR_OWN_UNITS], ids=str)
def test_the_gold_answer_scores_one(case: Case) -> None:
    (verdict,) = case.construct()(group(case, [example_and_gold(case)[1]]))
    assert (verdict.score, verdict.valid) == (1.0, True)
