"""Knights and knaves: golds, the rule of the reward, fifty writings and fifty near-misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.tasks.knights_and_knaves import KnightsAndKnaves, KnightsProblem
from posttrain.tasks.knights_forms import AuthorsForm, CompactForm
from posttrain.types import Example

PAIR = KnightsProblem(("Ada", "Bruno"), (True, False))
TRIO = KnightsProblem(("Jack", "Jackson", "Zoey"), (False, True, True))
PROBLEMS = {"P": PAIR, "T": TRIO}

EQUIVALENTS = [
    ("P", "(1) Ada is a knight\n(2) Bruno is a knave"),
    ("P", "(2) Bruno is a knave\n(1) Ada is a knight"),
    ("P", "Ada is a knight\nBruno is a knave"),
    ("P", "Ada is a knight, Bruno is a knave"),
    ("P", "Ada is a knight and Bruno is a knave"),
    ("P", "Ada is a knight; Bruno is a knave."),
    ("P", "Ada is a knight. Bruno is a knave."),
    ("P", "Bruno is a knave, Ada is a knight"),
    ("P", "Bruno is a knave, and Ada is a knight."),
    ("P", "1. Ada is a knight\n2. Bruno is a knave"),
    ("P", "1) Ada is a knight 2) Bruno is a knave"),
    ("P", "(1) Ada is a knight (2) Bruno is a knave"),
    ("P", "(1)Ada is a knight\n(2)Bruno is a knave"),
    ("P", "- Ada is a knight\n- Bruno is a knave"),
    ("P", "* Ada is a knight\n* Bruno is a knave"),
    ("P", "**Ada** is a **knight**, **Bruno** is a **knave**"),
    ("P", "`Ada` is a knight, `Bruno` is a knave"),
    ("P", "_Ada_ is a knight, _Bruno_ is a knave"),
    ("P", "ada is a knight, bruno is a knave"),
    ("P", "ADA IS A KNIGHT, BRUNO IS A KNAVE"),
    ("P", "Ada Is A Knight, Bruno Is A Knave"),
    ("P", "Ada  is  a  knight,  Bruno  is  a  knave"),
    ("P", "Ada is a\nknight, Bruno is a\nknave"),
    ("P", "Ada is a knight\n\n\nBruno is a knave\n"),
    ("P", "\n\nAda is a knight, Bruno is a knave"),
    ("P", "So Ada is a knight and Bruno is a knave"),
    ("P", "Therefore, (1) Ada is a knight\n(2) Bruno is a knave"),
    ("P", "The solution: Ada is a knight, Bruno is a knave"),
    ("P", "Ada is a knight while Bruno is a knave"),
    ("P", "Ada is a knight, but Bruno is a knave"),
    ("P", "Ada is a knight | Bruno is a knave"),
    ("P", "Ada is a knight / Bruno is a knave"),
    ("P", "[Ada is a knight, Bruno is a knave]"),
    ("P", '"Ada is a knight", "Bruno is a knave"'),
    ("P", "(a) Ada is a knight (b) Bruno is a knave"),
    ("P", "(2) Ada is a knight\n(1) Bruno is a knave"),
    ("P", "Ada is a knight!\nBruno is a knave!"),
    ("P", "Ada is a knight,Bruno is a knave"),
    ("T", "(1) Jack is a knave\n(2) Jackson is a knight\n(3) Zoey is a knight"),
    ("T", "(3) Zoey is a knight\n(2) Jackson is a knight\n(1) Jack is a knave"),
    ("T", "Jackson is a knight, Jack is a knave, Zoey is a knight"),
    ("T", "Jack is a knave, Jackson is a knight, and Zoey is a knight"),
    ("T", "Zoey is a knight. Jack is a knave. Jackson is a knight."),
    ("T", "jackson is a knight\njack is a knave\nzoey is a knight"),
    ("T", "1: Jack is a knave; 2: Jackson is a knight; 3: Zoey is a knight"),
    ("T", "Zoey is a knight and Jackson is a knight and Jack is a knave"),
    ("T", "Jackson is a knight and so Zoey is a knight, thus Jack is a knave"),
    ("T", "(1) JACK is a KNAVE (2) JACKSON is a KNIGHT (3) ZOEY is a KNIGHT"),
    ("T", "• Jack is a knave\n• Jackson is a knight\n• Zoey is a knight"),
    ("T", "Answer:\nJack is a knave\nJackson is a knight\nZoey is a knight"),
]

NEAR_MISSES = [
    ("P", ""),
    ("P", "Ada is a knight"),
    ("P", "Bruno is a knave"),
    ("P", "Ada is a knave, Bruno is a knight"),
    ("P", "Ada is a knight, Bruno is a knight"),
    ("P", "Ada is a knave, Bruno is a knave"),
    ("P", "(1) Ada is a knave\n(2) Bruno is a knave"),
    ("P", "(1) knight (2) knave"),
    ("P", "knight, knave"),
    ("P", "Ada: knight, Bruno: knave"),
    ("P", "Ada = knight, Bruno = knave"),
    ("P", "Ada knight Bruno knave"),
    ("P", "Ada is knight, Bruno is knave"),
    ("P", "Ada is the knight, Bruno is the knave"),
    ("P", "Ada is a knight, Bruno is a liar"),
    ("P", "Ada tells the truth, Bruno lies"),
    ("P", "Ada is a knight, Bruno is not a knight"),
    ("P", "Ada is not a knave, Bruno is a knave"),
    ("P", "Ada is not a knave, Bruno is not a knight"),
    ("P", "It is not true that Ada is a knight, Bruno is a knave"),
    ("P", "It is false that Ada is a knight and Bruno is a knave"),
    ("P", "Ada is a knight or Bruno is a knave"),
    ("P", "If Ada is a knight then Bruno is a knave"),
    ("P", "Either Ada is a knight and Bruno is a knave"),
    ("P", "Neither Ada is a knight nor Bruno is a knave"),
    ("P", "Ada is a knight unless Bruno is a knave"),
    ("P", "Maybe Ada is a knight, Bruno is a knave"),
    ("P", "It isn't so: Ada is a knight, Bruno is a knave"),
    ("P", "Ada is a knight, Ada is a knight"),
    ("P", "Ada is a knight, Bruno is a knave, Clara is a knight"),
    ("P", "Ada is a knight, Bruno is a knave, Bruno is a knight"),
    ("P", "Ada is a knight, Ada is a knave"),
    ("P", "Ada is a knight, Ada is a knave, Bruno is a knave, Bruno is a knight"),
    ("P", "Ada is a knight, Bruno is a knave (knights are honest)"),
    ("P", "Adam is a knight, Bruno is a knave"),
    ("P", "Adaa is a knight, Bruno is a knave"),
    ("P", "Ada and Bruno: knight and knave"),
    ("P", "Ada and Bruno is a knight, knave"),
    ("P", "Ada is a knigth, Bruno is a knave"),
    ("P", "Ada is a night, Bruno is a knave"),
    ("P", "Ada is a kni ght, Bruno is a knave"),
    ("P", "(1) is a knight (2) is a knave"),
    ("P", "A+ B-"),
    ("P", "True, False"),
    ("T", "(1) Jack is a knight\n(2) Jackson is a knight\n(3) Zoey is a knight"),
    ("T", "(1) Jack is a knave\n(2) Jackson is a knave\n(3) Zoey is a knight"),
    ("T", "(1) Jack is a knave\n(2) Jackson is a knight"),
    ("T", "Jackson is a knight, Jackson is a knave, Zoey is a knight"),
    ("T", "Jack is a knave, Jack is a knight, Zoey is a knight"),
    ("T", "Jackson is a knave, Jack is a knight, Zoey is a knight"),
]


def score(name: str, text: str) -> float | None:
    response = f"Assume … </think>\n<answer> {text} </answer>"
    return KnightsAndKnaves().verify(response, Example("x", "", PROBLEMS[name])).score


def test_the_tables_are_complete() -> None:
    assert len(set(EQUIVALENTS)) == 50
    assert len(set(NEAR_MISSES)) == 50


@pytest.mark.parametrize(("problem", "text"), EQUIVALENTS)
def test_an_equivalent_writing_is_right(problem: str, text: str) -> None:
    assert score(problem, text) == 1.0


@pytest.mark.parametrize(("problem", "text"), NEAR_MISSES)
def test_a_near_miss_is_wrong(problem: str, text: str) -> None:
    assert score(problem, text) == 0.1


@pytest.mark.parametrize("form", [AuthorsForm(), CompactForm()])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_gold_is_right(form: AuthorsForm | CompactForm, seed: int) -> None:
    task = KnightsAndKnaves(form=form)
    for example in task.examples("train", 60, seed):
        assert task.verify(example.demonstrations[0].text, example).score == 1.0


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("= A+B-", 1.0),
        ("A+ ok ; A+\n= A+ B-\n", 1.0),
        ("= B-, A+", 1.0),
        ("= A-B-\n= A+B-", 1.0),
        ("= A+B+", 0.1),
        ("= A+", 0.1),
        ("= A+A+", 0.1),
        ("= A+B-A-", 0.1),
        ("= A+C-", 0.1),
        ("= AB", 0.1),
        ("=", 0.1),
        ("A+B-", 0.0),
        ("", 0.0),
    ],
)
def test_compact_answers(response: str, expected: float) -> None:
    compact = KnightsAndKnaves(form=CompactForm())
    assert compact.verify(response, Example("x", "", KnightsProblem(("A", "B"), (True, False)))).score == expected


def test_an_answer_on_an_earlier_line_counts_and_no_tags_are_no_answer() -> None:
    example = Example("x", "", PAIR)
    task = KnightsAndKnaves()
    assert task.verify("<answer> Ada is a knight,\nBruno is a knave </answer>\nmore", example).score == 1.0
    assert task.verify("Ada is a knight, Bruno is a knave", example).score == 0.0


def test_sizes_without_meaning_are_refused() -> None:
    with pytest.raises(UserError, match="2 to 7 people"):
        KnightsAndKnaves(people=(8,))


@given(st.text() | st.text(st.sampled_from("AB+-= \nkniaveghts.,Dru")))
def test_no_text_crashes_the_verifier(text: str) -> None:
    for form in (AuthorsForm(), CompactForm()):
        names = ("A", "B")
        example = Example("x", "", KnightsProblem(names, (True, False)))
        for response in (text, f"<answer>{text}</answer>", f"= {text}"):
            assert KnightsAndKnaves(form=form).verify(response, example).score in (0.0, 0.1, 1.0)
