"""Mathematics: fifty writings and fifty near-misses, the plain rules, failures of the library."""

import importlib.util
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.rewards.failure import VerifierError
from posttrain.tasks.answers import LastLine
from posttrain.tasks.equivalence import SameMathematics, SameNumber, SameWriting
from posttrain.tasks.mathematics import Mathematics
from posttrain.tasks.normal_form import normal_form
from posttrain.types import Example

EQUIVALENTS = [
    ("8000", "8000"),
    ("8,000", "8000"),
    (r"8,\!000", "8000"),
    ("8000.", "8000"),
    ("8000.0", "8000"),
    ("+8000", "8000"),
    ("$8000$", "8000"),
    (r"\(8000\)", "8000"),
    (r"\boxed{8000}", "8000"),
    (r"$\boxed{8000}$", "8000"),
    (r"\text{8000}", "8000"),
    (r"8 \times 10^3", "8000"),
    ("8*1000", "8000"),
    ("x = 8000", "8000"),
    ("1/2", r"\frac{1}{2}"),
    ("0.5", r"\frac{1}{2}"),
    (".5", r"\frac{1}{2}"),
    (r"\frac12", r"\frac{1}{2}"),
    (r"\dfrac{1}{2}", r"\frac{1}{2}"),
    (r"\tfrac 1 2", r"\frac{1}{2}"),
    (r"\frac{2}{4}", r"\frac{1}{2}"),
    ("-3/4", r"-\frac{3}{4}"),
    (r"\frac{-3}{4}", r"-\frac{3}{4}"),
    ("-0.75", r"-\frac{3}{4}"),
    (r"\sqrt{12}", r"2\sqrt{3}"),
    (r"2\sqrt3", r"2\sqrt{3}"),
    (r"\sqrt3 \cdot 2", r"2\sqrt{3}"),
    ("5x-3", "-3+5x"),
    ("x^2 + 2x + 1", "(x+1)^2"),
    ("x^{2} - 1", "(x-1)(x+1)"),
    ("y=3x^2-34x+88", "y = 3x^2 - 34x + 88"),
    ("2i + 1", "1+2i"),
    (r"9 \pi", r"9\pi"),
    (r"\pi\cdot 9", r"9\pi"),
    (r"45^\circ", "45"),
    ("45", r"45^{\circ}"),
    (r"45\text{ degrees}", "45"),
    (r"\$6", "6"),
    ("28", r"28\%"),
    (r"17 \text{ meters}", "17"),
    (r"17\text{ cm}^2", "17"),
    (r"\left( 3, 4 \right)", "(3,4)"),
    ("( 3 , 4 )", "(3,4)"),
    (r"(\frac{6}{2}, 4)", "(3,4)"),
    (r"\begin{pmatrix}6\\3\\0\end{pmatrix}", r"\begin{pmatrix} 6 \\ 3 \\ 0 \end{pmatrix}"),
    ("Dana", r"\text{Dana}"),
    ("(E)", r"\text{(E)}"),
    ("E", r"\text{(E)}"),
    ("135, 45", "45, 135"),
    (r"3 \pm 2\sqrt{2}", r"3 + 2\sqrt{2}, 3 - 2\sqrt{2}"),
]

NEAR_MISSES = [
    ("8001", "8000"),
    ("800", "8000"),
    ("-8000", "8000"),
    ("80000", "8000"),
    ("8000.1", "8000"),
    ("8000x", "8000"),
    ("8000, 8001", "8000"),
    ("8000 or 7000", "8000"),
    ("7000 + 100", "8000"),
    ("", "8000"),
    ("eight", "8000"),
    ("8.000", "8000"),
    ("2", r"\frac{1}{2}"),
    (r"\frac{2}{1}", r"\frac{1}{2}"),
    ("0.05", r"\frac{1}{2}"),
    ("0.51", r"\frac{1}{2}"),
    ("1,2", r"\frac{1}{2}"),
    (r"-\frac{1}{2}", r"\frac{1}{2}"),
    (r"\frac{1}{3}", r"\frac{1}{2}"),
    ("3/4", r"-\frac{3}{4}"),
    ("0.33", r"\frac{1}{3}"),
    ("3.46", r"2\sqrt{3}"),
    (r"3\sqrt{2}", r"2\sqrt{3}"),
    (r"\sqrt{6}", r"2\sqrt{3}"),
    (r"2\sqrt{3}i", r"2\sqrt{3}"),
    ("5x+3", "5x-3"),
    ("3-5x", "5x-3"),
    ("5y-3", "5x-3"),
    ("x^2 + 1", "(x+1)^2"),
    ("x^2 + 2x", "(x+1)^2"),
    ("3x^2-34x+89", "y = 3x^2 - 34x + 88"),
    ("1-2i", "1+2i"),
    ("2+i", "1+2i"),
    ("9", r"9\pi"),
    ("28.3", r"9\pi"),
    (r"\pi^9", r"9\pi"),
    ("46", r"45^\circ"),
    ("(4,3)", "(3,4)"),
    ("(3,4,0)", "(3,4)"),
    ("(3,-4)", "(3,4)"),
    ("3", "(3,4)"),
    ("[3,4)", "[3,4]"),
    (r"\begin{pmatrix} 6 \\ 0 \\ 3 \end{pmatrix}", r"\begin{pmatrix} 6 \\ 3 \\ 0 \end{pmatrix}"),
    (r"\begin{pmatrix} 6 & 3 & 0 \end{pmatrix}", r"\begin{pmatrix} 6 \\ 3 \\ 0 \end{pmatrix}"),
    ("Dave", r"\text{Dana}"),
    ("D", r"\text{(E)}"),
    ("12", r"12\text{ and }13"),
    ("45135", "45, 135"),
    ("45, 135, 225", "45, 135"),
    (r"3 + 2\sqrt{2}", r"3 + 2\sqrt{2}, 3 - 2\sqrt{2}"),
]


@pytest.fixture(scope="module")
def symbolic() -> SameMathematics:
    return SameMathematics(deadline_s=20)


def test_the_tables_are_complete() -> None:
    assert len(set(EQUIVALENTS)) == 50
    assert len(set(NEAR_MISSES)) == 50


@pytest.mark.parametrize(("text", "gold"), EQUIVALENTS)
def test_an_equivalent_writing_is_right(symbolic: SameMathematics, text: str, gold: str) -> None:
    task = Mathematics(equivalent=symbolic)
    assert task.verify(f"so </think>\n<answer> {text} </answer>", Example("x", "", gold)).score == 1.0


@pytest.mark.parametrize(("text", "gold"), NEAR_MISSES)
def test_a_near_miss_is_wrong(symbolic: SameMathematics, text: str, gold: str) -> None:
    task = Mathematics(equivalent=symbolic)
    assert task.verify(f"so </think>\n<answer> {text} </answer>", Example("x", "", gold)).score == 0.1


@pytest.mark.parametrize(("text", "gold"), NEAR_MISSES)
def test_the_plain_rule_takes_no_near_miss(text: str, gold: str) -> None:
    assert SameWriting()(text, gold).score == 0.1


def test_the_plain_rule_knows_most_writings() -> None:
    known = [(text, gold) for text, gold in EQUIVALENTS if SameWriting()(text, gold).score == 1.0]
    assert len(known) >= 28


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (r"12\text{ and }13", "12and13"),
        (r"\frac32", r"\frac{3}{2}"),
        (r"\frac{3}2", r"\frac{3}{2}"),
        (r"\frac3{2}", r"\frac{3}{2}"),
        (r"\frac 59", r"\frac{5}{9}"),
        (r"\sqrt 2", r"\sqrt{2}"),
        ("2/3", r"\frac{2}{3}"),
        ("0.5", r"\frac{1}{2}"),
        (".25", "0.25"),
        (r"4130_{5}", "4130_5"),
        (r"3.25\text{ dollars}", "3.25"),
        (r"900,\!000,\!000", "900000000"),
        (r"111, \! 111", "111111"),
        ("111, 111", "111,111"),
        (r"\leftarrow", r"\leftarrow"),
        ("  ", ""),
    ],
)
def test_normal_forms(text: str, form: str) -> None:
    assert normal_form(text) == form


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("72", 1.0),
        ("72.0", 1.0),
        ("$72", 1.0),
        ("0072", 1.0),
        ("72.000001", 1.0),
        ("72.", 1.0),
        ("73", 0.1),
        ("x", 0.1),
    ],
)
def test_numbers(text: str, score: float) -> None:
    assert SameNumber()(text, "72").score == score


def test_thousands_in_numbers() -> None:
    assert SameNumber()("1,234", "1234").score == 1.0
    assert SameNumber()("9" * 100_000, "1234").score == 0.1


def test_a_gold_that_is_no_number_stops_with_the_example() -> None:
    task = Mathematics(equivalent=SameNumber())
    with pytest.raises(VerifierError, match=r"'row 3'.*not a number"):
        task.verify("<answer> 3 </answer>", Example("row 3", "", "three"))


def test_a_gold_that_says_nothing_stops_with_the_example(symbolic: SameMathematics) -> None:
    with pytest.raises(VerifierError, match="reads nothing in the right answer"):
        Mathematics(equivalent=symbolic).verify("<answer> 3 </answer>", Example("row 3", "", "$"))


def test_a_comparison_that_hangs_is_unscorable_and_the_next_one_works() -> None:
    task = Mathematics(equivalent=SameMathematics(deadline_s=1.0))
    example = Example("x", "", "5")
    start = time.monotonic()
    assert task.verify("<answer> 1 + 4 </answer>", example).score == 1.0
    started = time.monotonic() - start
    verdict = task.verify("<answer> 9^{9^{9^{9}}} </answer>", example)
    assert verdict.score is None
    assert "timed out" in verdict.reason
    assert time.monotonic() - start < started + 5
    assert task.verify("<answer> 2 + 3 </answer>", example).score == 1.0


def test_answers_and_places() -> None:
    example = Example("x", "", "12")
    plain = Mathematics(equivalent=SameWriting())
    assert plain.verify("12", example).score == 0.0
    assert plain.verify("<answer> 12 </answer>\nmore", example).score == 1.0
    last = Mathematics(equivalent=SameWriting(), extraction=LastLine())
    assert last.verify("<answer> 12 </answer>\nmore", example).score == 0.0


def test_a_missing_library_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install posttrain\[math\]"):
        SameMathematics()


def test_an_endless_answer_is_wrong_without_being_read(symbolic: SameMathematics) -> None:
    assert symbolic("(" * 1_000_000, "5").score == 0.1


@given(st.text() | st.text(st.sampled_from("\\{}$^_0123456789.,/()[]frac sqrtextboxd=%-+"), max_size=60))
def test_no_text_crashes_the_plain_rules(text: str) -> None:
    assert SameWriting()(text, "5").score in (0.1, 1.0)
    assert SameNumber()(text, "5").score in (0.1, 1.0)
    assert normal_form(text) == normal_form(f" {text} ")


@settings(max_examples=150)
@given(text=st.text(max_size=40) | st.text(st.sampled_from("\\{}$^_123.,/()[]frac sqrt=%-+x"), max_size=16))
def test_no_text_crashes_the_library(symbolic: SameMathematics, text: str) -> None:
    assert symbolic(text, "5").score in (None, 0.1, 1.0)
