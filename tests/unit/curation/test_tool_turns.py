"""Conversations with tools, turn by turn."""

import dataclasses

import pytest

from fixtures.tools import FIND, tool_problems
from fixtures.toy import toy_examples
from posttrain.curation.tool_turns import MARKERS, SuccessfulTurns
from posttrain.errors import UserError
from posttrain.rewards.tool_calls import GradedToolCalls
from posttrain.types import Demonstration, Example

TURNS = (
    ("user", "where? "),
    ("assistant", "find_room(city='a')"),
    ("tool", " -> {'room': 3} "),
    ("assistant", "book_room(town='a')"),
    ("tool", " -> Error: unexpected keyword 'town' "),
    ("assistant", "let me think. "),
    ("user", "go on. "),
    ("assistant", "find_route(start='a')"),
    ("tool", " -> ok "),
)


def conversation(turns: tuple[tuple[str, str], ...] = TURNS) -> Example:
    prompt = "".join(text for _, text in turns)
    facts = {"tools": FIND, "turns": turns}
    return Example("c", prompt, "book_room(city='a')", (Demonstration(("book_room(city='a')",)),), facts)


def imitated(markers: tuple[str, ...] = MARKERS) -> list[tuple[str, str]]:
    """(what was said before, turn) of each example."""
    return [(e.prompt, e.demonstrations[0].text) for e in SuccessfulTurns(markers)((conversation(),))]


def before(number: int) -> str:
    return "".join(text for _, text in TURNS[:number])


def test_turns_that_a_tool_answered_without_error_and_the_last_are_imitated() -> None:
    assert imitated() == [
        (before(1), "find_room(city='a')"),
        (before(7), "find_route(start='a')"),
        (before(9), "book_room(city='a')"),
    ]


def test_a_failed_turn_stays_in_what_later_turns_see() -> None:
    assert "town='a'" in imitated()[1][0]
    assert all("town='a'" not in turn for _, turn in imitated())


def test_without_markers_every_turn_that_a_tool_answered_is_imitated() -> None:
    assert [turn for _, turn in imitated(())] == [
        "find_room(city='a')",
        "book_room(town='a')",
        "find_route(start='a')",
        "book_room(city='a')",
    ]


def test_where_nothing_fails_the_markers_do_not_matter() -> None:
    examples = (conversation(TURNS[:3]),)
    ours, plain = (SuccessfulTurns(m)(examples) for m in (MARKERS, ()))
    assert [dataclasses.asdict(e) for e in ours] == [dataclasses.asdict(e) for e in plain]
    assert len(ours) == 2


def test_a_turns_example_has_an_id_answer_and_facts_of_its_own() -> None:
    first, second, last = SuccessfulTurns()((conversation(),))
    assert [e.id for e in (first, second, last)] == ["c/turn 1", "c/turn 7", "c"]
    assert (first.answer, last.answer) == ("find_room(city='a')", "book_room(city='a')")
    assert first.facts == {"tools": FIND}


def test_the_beginning_of_the_last_call_is_not_that_of_earlier_ones() -> None:
    begun = dataclasses.replace(conversation(), facts={**conversation().facts, "prefilled": "book_room("})
    first, second, last = SuccessfulTurns()((begun,))
    assert first.facts == second.facts == {"tools": FIND}
    assert last is begun
    assert GradedToolCalls().judge("find_room(city='a')", first).reason == "right"


@pytest.mark.parametrize("marker", ["", " ", "!?", "é"])
def test_a_marker_that_every_output_has_is_refused(marker: str) -> None:
    with pytest.raises(ValueError, match="a marker needs a letter"):
        SuccessfulTurns(("error", marker))


def test_a_last_turn_before_the_demonstration_has_no_answer_and_is_left_out() -> None:
    assert len(SuccessfulTurns()((conversation(TURNS[:2]),))) == 1


def test_examples_that_are_no_conversations_stay() -> None:
    examples = toy_examples(3)
    assert SuccessfulTurns()(examples) == examples


@pytest.mark.parametrize(
    ("output", "failed"),
    [
        ('{"error": "none"}', True),
        ("ConnectionError", True),
        ("NameError: name 'x' is not defined", True),
        ("f() takes 1 positional argument but 2 were given", True),
        ("got an unexpected keyword argument", True),
        ("This is NOT SUPPORTED.", True),
        ("invalid-API-call", True),
        ("Object of type X is not JSON serializable", True),
        ("slice indices must be integers or None", True),
        ("KeyError: 'related_searches'", True),
        ("400 Client Error", True),
        ("all is well", False),
        ("", False),
    ],
)
def test_outputs_that_say_that_a_call_failed(output: str, failed: bool) -> None:
    assert SuccessfulTurns().failed(output) == failed


def test_other_scripts_are_compared_too() -> None:
    assert SuccessfulTurns(("错误",)).failed("出现: 错-误!")
    assert not SuccessfulTurns(("错误",)).failed("没有")


def test_turns_in_lists_as_a_file_has_them() -> None:
    listed = dataclasses.replace(conversation(), facts={"tools": FIND, "turns": [list(t) for t in TURNS]})
    assert len(SuccessfulTurns()((listed,))) == 3


def test_turns_that_are_not_the_prompt_are_refused() -> None:
    with pytest.raises(UserError, match="turns of example 'c' are not its prompt"):
        SuccessfulTurns()((dataclasses.replace(conversation(), prompt="something else"),))


@pytest.mark.parametrize("turns", ["xyz", [["user"]], [{"user": "x"}]], ids=str)
def test_turns_that_are_no_pairs_are_refused(turns: object) -> None:
    with pytest.raises(UserError, match="pairs of a speaker and a text"):
        SuccessfulTurns()((dataclasses.replace(conversation(), facts={"tools": FIND, "turns": turns}),))


def test_the_task_of_tool_calls_loses_its_failed_turns() -> None:
    examples = tool_problems(60).examples
    every, successful = SuccessfulTurns(())(examples), SuccessfulTurns()(examples)
    assert successful == examples
    assert 0 < len(every) - len(examples) < 30
