"""People who think about knights and knaves: well-formed whatever their insight, right where they have it."""

import random

from hypothesis import given
from hypothesis import strategies as st

from posttrain.pretraining.islanders import puzzle
from posttrain.pretraining.thinkers import Thinker, solution
from posttrain.tasks.knights_forms import AuthorsForm
from posttrain.tasks.knights_logic import Claim, solutions
from posttrain.tasks.knights_reasoning import Assumed, Excluded, GoneBack


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0]), st.integers(2, 7))
def test_everybody_gets_a_role_and_what_is_said_last_of_somebody_holds(seed: int, insight: float, people: int) -> None:
    numbers = random.Random(seed)
    met = puzzle(numbers, people)
    thoughts, roles = Thinker(insight, numbers).think(met.claims, range(people))
    assert sorted(roles) == list(range(people))
    last = {thought.person: thought.role for thought in thoughts if isinstance(thought, Assumed)}
    assert last == dict(roles)
    assert sum(isinstance(thought, GoneBack) for thought in thoughts) <= 1


@given(st.integers(0, 10**6))
def test_the_conclusion_is_an_answer(seed: int) -> None:
    numbers = random.Random(seed)
    met = puzzle(numbers, 4)
    thoughts, answer = solution(Thinker(0.5, numbers), met.names, met.claims, met.said)
    assert thoughts.endswith("Therefore, ")
    assert AuthorsForm().roles(answer, met.names) is not None


def test_insight_finds_the_contradiction_that_is_there() -> None:
    claims = (Claim("lying", 1), Claim("lying", 0))  # each calls the other a knave
    thoughts, roles = Thinker(1.0, random.Random(0)).think(claims, (0, 1))
    assert roles == {0: True, 1: False}
    assert [type(thought) for thought in thoughts] == [Assumed, Excluded, Assumed]
    assert (thoughts[1].person, thoughts[1].role) == (1, True)


def test_insight_is_right_more_often_than_guesses() -> None:
    def right(insight: float) -> int:
        numbers, found = random.Random(1), 0
        for _ in range(600):
            met = puzzle(numbers, 3)
            worlds = solutions(met.claims)
            roles = Thinker(insight, numbers).think(met.claims, range(3))[1]
            found += len(worlds) == 1 and tuple(roles[person] for person in range(3)) == worlds[0]
        return found

    assert right(1.0) > 2 * right(0.0)
