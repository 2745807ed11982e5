"""What everything promises that makes examples out of examples before anything is built."""

import dataclasses
import inspect
from collections.abc import Sequence

import pytest

from fixtures.parts import rewritings
from fixtures.tools import tool_problems
from fixtures.toy import faulty_examples
from fixtures.walking import Case
from posttrain.types import Example, Verdict

REWRITINGS = pytest.mark.parametrize("case", rewritings(), ids=str)
TOOLS = tool_problems(30)


def verify(response: str, example: Example) -> Verdict:
    """The demonstration is the one right answer."""
    return Verdict(float(response == example.demonstrations[0].text), "exact", True)


def examples() -> tuple[Example, ...]:
    """Toy problems with faulty variants, and conversations with tools."""
    return (*faulty_examples(6), *TOOLS.examples)


def rewritten(case: Case, given: Sequence[Example]) -> tuple[Example, ...]:
    part = case.construct()
    verified = "verify" in inspect.signature(part).parameters
    return part(given, verify) if verified else part(given)


def written(made: Sequence[Example]) -> list[dict[str, object]]:
    return [dataclasses.asdict(example) for example in made]


@REWRITINGS
def test_it_makes_the_same_again_and_leaves_what_it_was_given(case: Case) -> None:
    given = examples()
    before = written(given)
    assert written(rewritten(case, given)) == written(rewritten(case, given))
    assert written(given) == before


@REWRITINGS
def test_ids_stay_unique_and_every_example_has_a_demonstration(case: Case) -> None:
    made = rewritten(case, examples())
    assert made
    assert len({example.id for example in made}) == len(made)
    assert all(example.prompt and example.demonstrations for example in made)


@REWRITINGS
def test_an_example_that_stays_asks_what_it_asked(case: Case) -> None:
    given = {example.id: example for example in examples()}
    for example in rewritten(case, examples()):
        if example.id in given:
            assert (example.prompt, example.answer) == (given[example.id].prompt, given[example.id].answer)


@REWRITINGS
def test_it_is_a_frozen_value(case: Case) -> None:
    part = case.construct()
    assert case.construct() == part
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.anything = 1
