"""Requests for tools: the hidden table, failed calls in training, writings and near misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.rewards.tool_calls import parse_call
from posttrain.tasks.tool_calls import FIRST, SECOND, ToolCalls, all_signatures, hidden_table
from posttrain.types import Example

TOOLS = {"find_room": ("city", "day"), "find_road": ("start", "end")}
RIGHT = Example("r", "", "find_room(city='omari', day='sukel')", (), {"tools": TOOLS})

EQUIVALENTS = [
    "find_room(city='omari', day='sukel')",
    ' find_room(city="omari", day="sukel")\n',
    "find_room(day='sukel', city='omari')",
    "find_room('omari', 'sukel')",
    "find_room( city='omari',day='sukel', )",
]
NEAR_MISSES = [
    ("find_road(city='omari', day='sukel')", 0.1),
    ("find_room(city='omari', day='suke')", 0.1),
    ("find_room(city='omari', days='sukel')", 0.1),
    ("find_room(city='omari')", 0.1),
    ("find_room(city='omari', day=sukel)", 0.1),
    ("find_rooms(city='omari', day='sukel')", 0.0),
    ("find_room(city='omari', day='sukel'", 0.0),
    ("find_room(city='omari', day='sukel').", 0.0),
    ("call: find_room(city='omari', day='sukel')", 0.0),
    ("find_room city='omari' day='sukel'", 0.0),
    ("Find_room(city='omari', day='sukel')", 0.0),
]


@pytest.mark.parametrize("response", EQUIVALENTS)
def test_an_equivalent_writing_is_right(response: str) -> None:
    assert ToolCalls().verify(response, RIGHT).score == 1.0


@pytest.mark.parametrize(("response", "score"), NEAR_MISSES)
def test_a_near_miss_is_not(response: str, score: float) -> None:
    verdict = ToolCalls().verify(response, RIGHT)
    assert (verdict.score, verdict.valid) == (score, score > 0)


@given(st.text())
def test_no_text_crashes_the_verifier(text: str) -> None:
    assert ToolCalls().verify(text, RIGHT).score in (0.0, 0.1, 1.0)


@pytest.mark.parametrize("offered", [2, 4, 16])
@pytest.mark.parametrize("failing", [0.0, 1.0])
def test_every_gold_is_right_and_its_tools_and_values_stand_in_the_prompt(offered: int, failing: float) -> None:
    task = ToolCalls(offered=offered, failing=failing)
    for example in task.examples("train", 60, 1):
        call = example.demonstrations[0].text
        assert task.verify(call, example).score == 1.0
        assert len(example.facts["tools"]) == offered
        assert all(f"{name}(" in example.prompt for name in example.facts["tools"])
        arguments = parse_call(call, example.facts["tools"]).arguments
        assert all(f" {parameter}={value}" in example.facts["turns"][1][1] for parameter, value in arguments.items())
        assert "".join(text for _, text in example.facts["turns"]) == example.prompt
        assert [speaker for speaker, _ in example.facts["turns"]] == [
            *("system", "user"),
            *(("assistant", "tool") if failing else ()),
        ]


def test_failed_calls_stand_in_a_share_of_training_alone_and_never_are_right() -> None:
    task = ToolCalls(failing=0.2)
    train, heldout = task.examples("train", 500, 0), task.examples("heldout", 100, 0)
    failed = [e for e in train if len(e.facts["turns"]) == 4]
    assert len(failed) / 500 == pytest.approx(0.2, abs=0.05)
    assert all(len(e.facts["turns"]) == 2 for e in heldout)
    for example in failed:
        assert task.verify(example.facts["turns"][2][1], example).score < 1
        assert example.facts["turns"][3][1].startswith("\nerror: ")
    reasons = {task.verify(e.facts["turns"][2][1], e).reason for e in failed}
    assert "unknown tool" in reasons
    assert len(reasons) > 1
    assert [e.answer for e in train] == [e.answer for e in ToolCalls(failing=0.0).examples("train", 500, 0)]


def test_the_table_is_hidden_fixed_and_different_for_another_seed() -> None:
    table = hidden_table(0)
    assert len(table) == len(FIRST) * len(SECOND)
    assert set(table.values()) <= set(all_signatures(0))
    assert table == hidden_table(0) != hidden_table(1)
    assert len(all_signatures(0)) == 16
    assert {len(parameters) for parameters in all_signatures(0).values()} == {2, 3}


def test_a_request_would_do_for_another_tool_on_offer_but_not_as_it_stands() -> None:
    for example in ToolCalls().examples("train", 40, 0):
        mentioned = {part.partition("=")[0] for part in example.facts["turns"][1][1].split() if "=" in part}
        fitting = [tool for tool, parameters in example.facts["tools"].items() if set(parameters) <= mentioned]
        assert len(fitting) >= 2
        assert set(parse_call(example.answer, example.facts["tools"]).arguments) < mentioned


def test_settings_without_meaning_are_refused() -> None:
    for settings in ({"offered": 1}, {"offered": 17}, {"failing": 1.5}):
        with pytest.raises(UserError, match=r"2 to 16 tools|between 0 and 1"):
            ToolCalls(**settings)
