"""Fifty writings of right answers and fifty near-misses, each by hand."""

import pytest

from posttrain.tasks.countdown import Countdown, CountdownProblem
from posttrain.types import Example

PROBLEMS = {
    "A": CountdownProblem((44, 19, 35), 98),
    "B": CountdownProblem((39, 88, 13, 8), 32),
    "C": CountdownProblem((43, 40, 80, 85), 15),
    "D": CountdownProblem((3, 3, 8, 8), 24),
    "E": CountdownProblem((40, 73, 20), 71),
    "F": CountdownProblem((2, 5, 4), 10),
}

EQUIVALENTS = [
    ("A", "44 + (19 + 35)"),
    ("A", "44+19+35"),
    ("A", "(44 + 19) + 35"),
    ("A", "35 + 19 + 44"),
    ("A", "19 + (35 + 44)"),
    ("A", "  44   +19+ 35  "),
    ("A", "((44)) + (((19 + 35)))"),
    ("A", "(44 + 19 + 35)"),
    ("A", "+44 + 19 + 35"),
    ("A", "44 + +19 + +35"),
    ("A", "44 - (-19) + 35"),
    ("A", "44 - -19 - -35"),
    ("A", "--44 + 19 + 35"),
    ("A", "-(-44 - 19 - 35)"),
    ("A", "44 +\n19 +\n35"),
    ("A", "44\t+\t19\t+\t35"),
    ("A", "44. + 19 + 35"),
    ("A", "44 + 19 + 35."),
    ("A", "( 44+19 )+( 35 )"),
    ("A", "(((((((((((44+19+35)))))))))))"),
    ("B", "(88 + 8) / (39 / 13)"),
    ("B", "(8 + 88) / (39 / 13)"),
    ("B", "(88+8)/(39/13)"),
    ("B", "(88 + 8) * 13 / 39"),
    ("B", "13 * (88 + 8) / 39"),
    ("B", "13 / 39 * (88 + 8)"),
    ("B", "(88 + 8) / 39 * 13"),
    ("B", "((88 + 8)) / ((39) / (13))"),
    ("B", "(88 - -8) / (39 / 13)"),
    ("B", "-(88 + 8) / -(39 / 13)"),
    ("C", "(43 - 40) * (85 - 80)"),
    ("C", "(85 - 80) * (43 - 40)"),
    ("C", "(40 - 43) * (80 - 85)"),
    ("C", "(43-40)*(85-80)"),
    ("C", "((43 - 40) * (85 - 80))"),
    ("C", "-(40 - 43) * (85 - 80)"),
    ("C", "(-40 + 43) * (-80 + 85)"),
    ("C", "(43 + -40) * (85 + -80)"),
    ("D", "8 / (3 - 8 / 3)"),
    ("D", "8/(3-8/3)"),
    ("D", "8 / (3 - (8 / 3))"),
    ("D", "-8 / (8 / 3 - 3)"),
    ("D", "8 / -(8 / 3 - 3)"),
    ("E", "73 - (40 / 20)"),
    ("E", "73 - 40 / 20"),
    ("E", "-(40 / 20) + 73"),
    ("E", "73 + -40 / 20"),
    ("F", "5 * 4 / 2"),
    ("F", "5 / (2 / 4)"),
    ("F", "4 / 2 * 5"),
]

NEAR_MISSES = [
    ("A", "44 + 19"),
    ("A", "44 + 19 + 35 + 35"),
    ("A", "44 + 19 + 34"),
    ("A", "44 + 19 - 35"),
    ("A", "44 + 19 + 35 = 98"),
    ("A", "98 = 44 + 19 + 35"),
    ("A", "98"),
    ("A", "44 + 54"),
    ("A", "63 + 35"),
    ("A", ""),
    ("A", "44 + 19 + 35 +"),
    ("A", "44 + (19 + 35"),
    ("A", "44 + 19) + 35"),
    ("A", "44 19 35"),
    ("A", "44 + 19 35"),
    ("A", "[44 + 19 + 35]"),
    ("A", "44 plus 19 plus 35"),
    ("A", "$44 + 19 + 35$"),
    ("A", r"\boxed{44 + 19 + 35}"),
    ("A", "x = 44 + 19 + 35"),
    ("A", "44 + 19 + 35!"),
    ("A", "44, 19, 35"),
    ("A", "44 + 19 + 035"),
    ("A", "4419 + 35"),
    ("A", "44 + 19 + 35 + 0"),
    ("A", "4 4 + 19 + 35"),
    ("A", "44 ＋ 19 + 35"),
    ("A", "44 + 19 + ３５"),
    ("A", "__import__('os').getpid() + 44 + 19 + 35"),
    ("A", "44 + 19 + 35 if True else 0"),
    ("A", "44 + 19 + 35\n44 + 19 + 35"),
    ("A", "(44)(19)(35)"),
    ("A", "44 + 19 + 35 / 1"),
    ("A", "+" * 600 + "44 + 19 + 35"),
    ("A", "(" * 4000 + "44 + 19 + 35" + ")" * 4000),
    ("B", "88 + 8 / (39 / 13)"),
    ("B", "(88 + 8) / 39 / 13"),
    ("B", "96 / 3"),
    ("B", "(88 + 8) / (39 // 13)"),
    ("B", "(88 + 8) ÷ (39 ÷ 13)"),
    ("C", "(43 - 40) * (80 - 85)"),
    ("C", "43 - 40 * 85 - 80"),
    ("C", "3 * 5 = 15"),
    ("C", "(43 - 40) x (85 - 80)"),
    ("D", "8 / (3 - 8) / 3"),
    ("D", "8 * 3 * (8 / 8)"),
    ("D", "8 / (3 - 3) + 8"),
    ("E", "(73 - 40) / 20"),
    ("E", "73 - 40 / 20 + (20 - 20)"),
    ("F", "4 ** 2 - 5 - 1"),
]


def wrapped(text: str) -> str:
    return f"thinking </think>\n<answer> {text} </answer>"


def score(name: str, text: str) -> float | None:
    return Countdown().verify(wrapped(text), Example("x", "", PROBLEMS[name])).score


def test_the_tables_are_complete() -> None:
    assert len(set(EQUIVALENTS)) == 50
    assert len(set(NEAR_MISSES)) == 50


@pytest.mark.parametrize(("problem", "text"), EQUIVALENTS)
def test_an_equivalent_writing_is_right(problem: str, text: str) -> None:
    assert score(problem, text) == 1.0


@pytest.mark.parametrize(("problem", "text"), NEAR_MISSES)
def test_a_near_miss_is_wrong(problem: str, text: str) -> None:
    assert score(problem, text) == 0.1


@pytest.mark.parametrize("text", ["2 ** 5 - 4", "5 ** 2 // 4", "5.4 + 2 + 2.6", "4.5 + 2", "(5 - 4) / (2 - 2)"])
def test_loopholes_of_evaluating_text_as_a_program_stay_closed(text: str) -> None:
    assert score("F", text) == 0.1


def test_a_decimal_point_does_not_join_two_given_numbers() -> None:
    verdict = Countdown().verify(wrapped("1.5 * 20"), Example("x", "", CountdownProblem((1, 5, 20), 30)))
    assert verdict.score == 0.1
