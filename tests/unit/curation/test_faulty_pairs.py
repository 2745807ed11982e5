"""Faulty variants: given ones are checked, mutated ones are near, wrong, and the same again."""

import dataclasses

import pytest

from fixtures.toy import toy_examples
from posttrain.curation.faulty_pairs import Given, Mutated
from posttrain.errors import UserError
from posttrain.tasks.countdown import Countdown
from posttrain.tasks.countdown_forms import CompactForm
from posttrain.tasks.key_paths import KeyPaths
from posttrain.types import Demonstration, Example, Verdict


def exact(response: str, example: Example) -> Verdict:
    right = response == example.answer
    return Verdict(1.0 if right else 0.0, "exact", True)


def exactly(text: str, **facts: object) -> Example:
    return Example("x", "1=", text, (Demonstration((text,)),), facts)


def test_given_variants_stay_where_they_fail_and_the_demonstration_passes() -> None:
    wrong = dataclasses.replace(exactly("a", faulty=("b",)), id="the demonstration is wrong", answer="c")
    examples = (exactly("a", faulty=("b",)), exactly("a", faulty=("a",)), exactly("a"), wrong)
    assert [e.facts["faulty"] for e in Given()(examples, exact)] == [("b",), (None,), (None,), (None,)]


def test_a_variant_that_cannot_be_judged_is_none() -> None:
    def timed_out(response: str, example: Example) -> Verdict:
        return exact(response, example) if response == "a" else Verdict(None, "timed out", False)

    assert timed_out("b", exactly("a")).correct is None
    with pytest.raises(UserError, match="none of 1 examples has a faulty variant"):
        Given()((exactly("a", faulty=("b",)),), timed_out)


def test_other_facts_stay() -> None:
    (made,) = Given()((exactly("a", faulty=("b",), level=3),), exact)
    assert made.facts == {"faulty": ("b",), "level": 3}


@pytest.mark.parametrize(
    ("task", "unit"),
    [(KeyPaths(), "character"), (Countdown(form=CompactForm()), "word"), (Countdown(form=CompactForm()), "character")],
    ids=str,
)
def test_mutations_fail_and_are_near(task, unit: str) -> None:
    examples = task.examples("train", 20, 0)
    made = Mutated(unit)(examples, task.verify)
    assert Mutated(unit)(examples, task.verify)[3].facts == made[3].facts
    found = [(e.demonstrations[0].text, e.facts["faulty"][0], e) for e in made if e.facts["faulty"][0] is not None]
    assert len(found) > 10
    for correct, faulty, example in found:
        assert task.verify(faulty, example).score < 1
        if unit == "character":
            assert len(correct) == len(faulty)
            assert 1 <= sum(a != b for a, b in zip(correct, faulty)) <= 2


def test_pieces_are_replaced_by_others_of_their_kind_and_white_space_never() -> None:
    texts = ("if x < 10:\n  return y", "if foo > 7:\n  return bar")
    examples = tuple(dataclasses.replace(exactly(text), id=text) for text in texts)
    for example in Mutated(most_changes=1)(examples, exact):
        original, mutated = example.answer.split(), example.facts["faulty"][0].split()
        assert len(original) == len(mutated)
        assert example.facts["faulty"][0].count("\n  ") == 1
        changed = [(a, b) for a, b in zip(original, mutated) if a != b]
        assert len(changed) == 1


def two_tries(response: str, example: Example) -> Verdict:
    """One change never makes the first example wrong; any makes the second."""
    changes = sum(a != b for a, b in zip(response, example.answer))
    return Verdict(float(changes < (2 if example.id == "x" else 1)), "", True)


def test_fewer_changes_come_first() -> None:
    examples = (exactly("abcd"), dataclasses.replace(exactly("dcba"), id="y"))
    one, two = (Mutated("character", most_changes=n)(examples, two_tries) for n in (1, 2))
    assert one[0].facts["faulty"] == (None,)
    assert one[1].facts["faulty"] == two[1].facts["faulty"] != (None,)
    assert sum(a != b for a, b in zip("abcd", two[0].facts["faulty"][0])) == 2


def test_no_pair_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="'faulty'"):
        Mutated()(toy_examples(3), lambda response, example: Verdict(1.0, "anything goes", True))


@pytest.mark.parametrize("settings", [{"most_changes": 0}, {"tries": 0}], ids=str)
def test_settings_that_make_nothing_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Mutated(**settings)
