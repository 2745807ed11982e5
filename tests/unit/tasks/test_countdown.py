"""Countdown: generator, forms and the three levels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.tasks.answers import LastLine
from posttrain.tasks.arithmetic import NotArithmeticError, evaluate
from posttrain.tasks.countdown import Countdown, CountdownProblem
from posttrain.tasks.countdown_forms import AuthorsForm, CompactForm
from posttrain.types import Example

FORMS = [AuthorsForm(), AuthorsForm(LastLine()), CompactForm()]
ALPHABET = "0123456789+-*/().= \n<answer></answer>^&é½x,"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_gold_is_right_and_obeys_the_rules(form: AuthorsForm | CompactForm, seed: int) -> None:
    task = Countdown(form=form)
    for example in task.examples("train", 300, seed):
        problem = example.answer
        assert task.verify(example.demonstrations[0].text, example).score == 1.0
        assert len(problem.numbers) in (3, 4)
        assert all(1 <= number <= 99 for number in problem.numbers)
        assert 10 <= problem.target <= 100


def test_the_authors_form_is_that_of_the_released_data() -> None:
    example = next(e for e in Countdown().examples("train", 50, 0) if len(e.answer.numbers) == 3)
    numbers = ", ".join(map(str, example.answer.numbers))
    assert f"Using the numbers [{numbers}], create an equation that equals {example.answer.target}." in example.prompt
    assert example.prompt.endswith("</answer>.\nAssistant: Let me solve this step by step.\n<think> ")
    demonstration = example.demonstrations[0]
    assert len(demonstration.chunks) == 3
    assert demonstration.chunks[-1].startswith("Therefore, the final equation is ")
    assert demonstration.tail.startswith(" </think>\n<answer> ")


def test_the_compact_form_shows_what_is_left() -> None:
    example = Countdown(counts=(4,), form=CompactForm()).examples("train", 1, 5)[0]
    left = [chunk.strip().split(" ; ")[1].split() for chunk in example.demonstrations[0].chunks]
    assert [len(numbers) for numbers in left] == [3, 2, 1]
    assert left[-1] == [str(example.answer.target)]


def test_the_number_of_numbers_is_configurable() -> None:
    sizes = {len(example.answer.numbers) for example in Countdown(counts=(6,)).examples("heldout", 20, 0)}
    assert sizes == {6}
    with pytest.raises(UserError, match="2 to 6 numbers"):
        Countdown(counts=())


PROBLEM = Example("x", "", CountdownProblem((3, 4, 5), 17))


@pytest.mark.parametrize(
    ("response", "anywhere", "last_line"),
    [
        ("<answer> 3*4+5 </answer>", 1.0, 1.0),
        ("text\n<answer> 3*4+5 </answer>", 1.0, 1.0),
        ("<answer> 3*4+5 </answer>\nmore", 1.0, 0.0),
        ("<answer>\n3*4+5\n</answer>", 1.0, 0.0),
        ("<answer> 3+4+5 </answer> <answer> 3*4+5 </answer>", 1.0, 1.0),
        ("<answer> 3*4+5 </answer> <answer> 3+4+5 </answer>", 0.1, 0.1),
        ("<answer> 3*4+5=17 </answer>", 0.1, 0.1),
        ("<answer> 3*4 </answer>", 0.1, 0.1),
        ("3*4+5", 0.0, 0.0),
        ("<answer> 3*4+5", 0.0, 0.0),
        ("<answer> 9 <answer> 3*4+5 </answer> </answer>", 1.0, 1.0),
    ],
)
def test_where_the_answer_is_looked_for(response: str, anywhere: float, last_line: float) -> None:
    assert Countdown().verify(response, PROBLEM).score == anywhere
    assert Countdown(form=AuthorsForm(LastLine())).verify(response, PROBLEM).score == last_line


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("= 3*4+5", 1.0),
        ("3*4=12 ; 5 12\n12+5=17 ; 17\n= 3*4+5", 1.0),
        ("= 9\n=(3*4)+5\n", 1.0),
        ("=", 0.1),
        ("3*4+5", 0.0),
    ],
)
def test_the_compact_answer_stands_after_an_equals_sign(response: str, score: float) -> None:
    assert Countdown(form=CompactForm()).verify(response, PROBLEM).score == score


@given(st.text(st.sampled_from(ALPHABET), max_size=80) | st.text(max_size=80))
def test_no_text_crashes_the_verifier(text: str) -> None:
    for form in FORMS:
        for response in (text, f"<answer>{text}</answer>", f"= {text}"):
            assert Countdown(form=form).verify(response, PROBLEM).score in (0.0, 0.1, 1.0)


@given(st.text(st.sampled_from("123+-*/() "), max_size=30))
def test_evaluation_agrees_with_python(text: str) -> None:
    try:
        ours = float(evaluate(text))
    except NotArithmeticError:
        ours = None
    allowed = "**" not in text.replace(" ", "") and "//" not in text.replace(" ", "") and "(" not in text
    if allowed and ours is not None:
        assert ours == pytest.approx(eval(" ".join(text.split())))


def test_a_huge_answer_is_judged_at_once() -> None:
    response = "<answer>" + "7" * 1_000_000 + "(" * 100_000 + "</answer>"
    assert Countdown().verify(response, PROBLEM).score == 0.1
