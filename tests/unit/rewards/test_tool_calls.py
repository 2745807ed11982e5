"""One parser for every call, and a grade for every kind of fault."""

import dataclasses

import pytest

from fixtures.tools import FIND, tool_example
from posttrain.errors import UserError
from posttrain.rewards.tool_calls import Expression, GradedToolCalls, Grades, gold_call, parse_call

GOLD = "find_room(city='omari', day='sukel')"

EQUIVALENTS = [
    GOLD,
    f"  {GOLD}\n",
    'find_room(city="omari", day="sukel")',
    "find_room(day='sukel', city='omari')",
    "find_room(city='omari',day='sukel')",
    "find_room( city = 'omari' , day = 'sukel' )",
    "find_room(city='omari', day='sukel',)",
    "find_room (city='omari', day='sukel')",
    "find_room(\n  city='omari',\n  day='sukel',\n)",
    "find_room('omari', 'sukel')",
    "find_room('omari', day='sukel')",
    "find_room(city='''omari''', day=r'sukel')",
    "find_room(city='om' 'ari', day='sukel')",
    "find_room(city='\\x6fmari', day='sukel')",
]

NO_CALL = [
    *("", " ", "find_room", "find_room(", "find_room(city='omari'", "find_room)", "omari", "()", "'find_room()'"),
    *("I call find_room(city='omari', day='sukel')", f"{GOLD}.", f"{GOLD};", f"{GOLD} # done", f"{GOLD}\n{GOLD}"),
    *(f"({GOLD})", f"[{GOLD}]", f"x = {GOLD}", f"print({GOLD})", f"{GOLD} or {GOLD}", f"await {GOLD}", f"{GOLD}()"),
    *("find_room(city='omari', city='omari')", "find_room('omari', city='omari')", "find_room(**{})", "find_room(*[])"),
    *("find_room[city='omari']", "find room(city='omari')", "find_room{'city': 'omari'}", "find_room(city: 'omari')"),
    *("ｆind_room(city='omari', day='sukel')", "find_room(city=‘omari’)", "lambda: 0", "\0", "0777", "f(" * 300),
]

UNKNOWN = ["find_rooms(city='omari')", "Find_room(city='omari')", "room.find_room(city='omari')", "find(city='omari')"]


def score(response: str, answer: str = GOLD, **facts: object) -> float:
    return GradedToolCalls().judge(response, tool_example(answer, **facts)).score


@pytest.mark.parametrize("response", EQUIVALENTS)
def test_ways_to_write_the_gold_call(response: str) -> None:
    verdict = GradedToolCalls().judge(response, tool_example())
    assert (verdict.score, verdict.reason, verdict.valid) == (1.0, "right", True)


@pytest.mark.parametrize("response", [*NO_CALL, *UNKNOWN])
def test_what_is_no_call_of_an_offered_tool(response: str) -> None:
    verdict = GradedToolCalls().judge(response, tool_example())
    assert (verdict.score, verdict.valid) == (-2.0, False)
    assert verdict.reason == ("unknown tool" if response in UNKNOWN else verdict.reason)


ROWS = [
    ("book_room(city='omari', team='sukel')", -1.5, "wrong tool"),
    ("book_room(nonsense=1)", -1.5, "wrong tool"),  # the tool is looked at before its parameters
    ("find_room(city='omari', day='x')", -0.25, "wrong value"),
    ("find_room(city='omari')", -0.5, "missing parameters"),
    ("find_room(city='omari', day='sukel', colour=1)", -0.8, "made-up parameters"),
    ("find_room(city='omari', colour=1)", -1.3, "made-up and missing parameters"),
    ("find_room()", -0.5, "missing parameters"),
    ("find_room('omari', 'sukel', 'x')", -0.8, "made-up parameters"),
]


@pytest.mark.parametrize(("response", "expected", "reason"), ROWS)
def test_a_grade_for_every_fault(response: str, expected: float, reason: str) -> None:
    verdict = GradedToolCalls().judge(response, tool_example())
    assert (verdict.score, verdict.reason, verdict.valid) == (expected, reason, True)


SURPLUS = [
    ("f(a=1, b=2)", -0.5, "surplus parameters"),
    ("f(b=2)", -1.0, "surplus and missing parameters"),
    ("f(b=2, z=3)", -1.8, "made-up and surplus and missing parameters"),
    ("f(a=1, b=2, z=3)", -1.3, "made-up and surplus parameters"),
    ("f(a=1)", 1.0, "right"),
]


@pytest.mark.parametrize(("response", "expected", "reason"), SURPLUS)
def test_a_parameter_of_the_tool_that_the_gold_call_has_not_is_surplus(
    response: str, expected: float, reason: str
) -> None:
    example = tool_example("f(a=1)", tools={"f": ["a", "b"], "g": []})
    verdict = GradedToolCalls().judge(response, example)
    assert (verdict.score, verdict.reason) == (expected, reason)


def test_there_are_nine_grades_and_every_row_has_its_own() -> None:
    grades = dataclasses.astuple(Grades())
    assert len(set(grades)) == len(grades) == 9
    assert set(grades) == {-2.0, 1.0} | {row[1] for row in (*ROWS, *SURPLUS)}
    assert min(row[1] for row in SURPLUS) < dataclasses.asdict(Grades())["wrong_tool"]  # as published: not monotone


def test_other_grades_may_be_given() -> None:
    grades = Grades(no_call=-9.0, wrong_value=0.5)
    rewards = GradedToolCalls(grades)
    assert rewards.judge("", tool_example()).score == -9.0
    assert rewards.judge("find_room(city='omari', day='x')", tool_example()).score == 0.5


@pytest.mark.parametrize(
    ("written", "gold", "same"),
    [
        ("f(a=1)", "f(a=1.0)", True),
        ("f(a=True)", "f(a=1)", False),
        ("f(a='1')", "f(a=1)", False),
        ("f(a=[1, 'x'])", 'f(a=[1, "x"])', True),
        ("f(a={'x': 1, 'y': 2})", "f(a={'y': 2, 'x': 1})", True),
        ("f(a=-1)", "f(a=-1)", True),
        ("f(a=true)", "f(a=true)", True),  # JSON's, in gold and answer alike
        ("f(a=true)", "f(a=True)", False),
        ("f(a=x)", "f(a='x')", False),
    ],
)
def test_values_are_compared_as_values(written: str, gold: str, same: bool) -> None:
    assert score(written, gold, tools={"f": ["a"]}) == (1.0 if same else -0.25)


def test_a_call_is_read_with_its_values() -> None:
    call = parse_call("a.b('x', day=other(1))", {"a.b": ("city", "day")})
    assert (call.name, call.arguments) == ("a.b", {"city": "x", "day": Expression("other(1)")})


def test_a_prompt_may_hold_the_beginning_of_the_call() -> None:
    assert score("city='omari', day='sukel')", prefilled="find_room(") == 1.0
    assert score("city='omari')", prefilled="find_room(") == -0.5
    assert score(GOLD, prefilled="find_room(") == -2.0


def test_deep_and_long_answers_are_judged() -> None:
    for response in (f"find_room(city={'[' * 500}{']' * 500})", f"find_room(city={'9' * 5000})", "a." * 3000 + "b()"):
        assert score(response) < 0


def test_odd_literals_are_no_warning() -> None:
    assert score(r"find_room(city='\d', day='sukel')") == -0.25


def test_an_answer_that_calls_no_tool_is_no_gold() -> None:
    assert gold_call(tool_example("it is sunny")) is None
    assert gold_call(tool_example("other_tool()")) is None
    assert gold_call(tool_example()).name in FIND
    with pytest.raises(UserError, match="the answer of example 'tools' calls none of its tools: 'it is sunny'"):
        score("", "it is sunny")


def test_an_example_without_tools_is_refused() -> None:
    with pytest.raises(UserError, match="'tools' offers no tools; give them as the fact 'tools'"):
        GradedToolCalls().judge("", tool_example(tools={}))


@pytest.mark.parametrize("tools", [["find_room"], {"find_room": "city"}], ids=str)
def test_tools_that_are_not_names_with_parameters_are_refused(tools: object) -> None:
    with pytest.raises(UserError, match="must be names, each with a list"):
        GradedToolCalls().judge("", tool_example(tools=tools))
