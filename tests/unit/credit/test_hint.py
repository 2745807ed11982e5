"""Credit at two levels, worked by hand."""

import dataclasses
import math

import pytest

from fixtures.sequences import judged, sequence, spell
from posttrain.credit.group import Centred, Standardised
from posttrain.credit.hint import HintAware
from posttrain.types import TrainingSequence
from tolerances import ROUNDING


def answer(hint: list[int], reward: float, uid: int, group: object = 0) -> TrainingSequence:
    """A prompt token, these given tokens, two sampled ones."""
    made = sequence([7, *hint, 8, 9], spell("p" + "g" * len(hint) + "ss"), uid=uid, group=group)
    return dataclasses.replace(made, rollout=judged(made.rollout, reward))


def credited(credit: HintAware, *answers: TrainingSequence) -> list[tuple[set[float], set[float]]]:
    """Per answer what its given tokens and what its sampled tokens have."""
    found = []
    for made, signals in zip(answers, credit(answers), strict=True):
        given = len(made.tokens) - 3
        values = signals["advantages"].tolist()
        found.append((set(values[1 : 1 + given]), set(values[1 + given :])))
    return found


@pytest.mark.parametrize(
    ("credit", "scale"), [(HintAware(Centred()), 1.0), (HintAware(Standardised(0.0)), 1 / math.sqrt(1 / 3))]
)
def test_one_hint_against_three_answers_from_scratch(credit: HintAware, scale: float) -> None:
    answers = [answer([], reward, uid) for uid, reward in enumerate([1.0, 0.0, 0.0])]
    found = credited(credit, *answers, answer([1, 2], 1.0, 3))
    assert [given for given, _ in found[:3]] == [set()] * 3
    expected = [2 / 3 * scale, -1 / 3 * scale, -1 / 3 * scale]
    assert [value for _, sampled in found[:3] for value in sampled] == pytest.approx(expected, abs=ROUNDING)
    (of_hint,), (of_continuation,) = found[3]
    assert of_hint == pytest.approx(1 - 1 / 3, abs=ROUNDING)  # its reward against their mean
    assert of_continuation == 1.0  # alone with its hint: the reward itself


def test_a_hint_that_leads_nowhere_is_pushed_down() -> None:
    found = credited(HintAware(Centred()), answer([], 1.0, 0), answer([], 0.5, 1), answer([1], 0.0, 2))
    assert found[2] == ({-0.75}, {0.0})


def test_continuations_of_one_hint_are_compared_and_share_what_it_is_worth() -> None:
    rewards = [0.0, 0.5, 1.0, 0.0]
    answers = [answer([], 0.0, 0), answer([1, 2], 0.5, 1), answer([1, 2], 1.0, 2), answer([], 0.0, 3)]
    found = credited(HintAware(Centred()), *answers)
    assert rewards == [a.rollout.reward for a in answers]
    assert found == [(set(), {0.0}), ({0.375}, {-0.25}), ({0.375}, {0.25}), (set(), {0.0})]  # (3/4 - 0) / 2


def test_hints_of_different_lengths_and_of_different_words_are_different() -> None:
    found = credited(
        HintAware(Centred()), answer([1], 1.0, 0), answer([1, 2], 0.5, 1), answer([3], 0.25, 2), answer([], 0.25, 3)
    )
    assert [given for given, _ in found] == [{0.75}, {0.25}, {0.0}, set()]
    assert [sampled for _, sampled in found] == [{1.0}, {0.5}, {0.25}, {0.25}]


def test_without_an_answer_from_scratch_a_hint_is_worth_nothing() -> None:
    found = credited(HintAware(Centred()), answer([1], 1.0, 0), answer([1], 0.0, 1), answer([2], 1.0, 2))
    assert found == [({0.0}, {0.5}), ({0.0}, {-0.5}), ({0.0}, {1.0})]


@pytest.mark.parametrize("within", [Centred(), Standardised()])
def test_without_hints_it_is_the_credit_within(within) -> None:
    answers = [answer([], reward, uid) for uid, reward in enumerate([1.0, 0.1, 0.1, 0.0])]
    found = [signals["advantages"].tolist() for signals in HintAware(within)(answers)]
    assert found == [signals["advantages"].tolist() for signals in within(answers)]


def test_prompts_do_not_mix() -> None:
    here = [answer([], 0.0, 0), answer([1], 1.0, 1)]
    there = [answer([], 1.0, 2, group=1), answer([1], 0.0, 3, group=1)]
    assert credited(HintAware(Centred()), *here, *there) == [
        (set(), {0.0}),
        ({1.0}, {1.0}),
        (set(), {1.0}),
        ({-1.0}, {0.0}),
    ]
