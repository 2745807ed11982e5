"""What every task promises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.parts import tasks
from fixtures.walking import Case
from posttrain.types import Split

TASKS = pytest.mark.parametrize("case", tasks(), ids=str)
GENERATORS = pytest.mark.parametrize("case", [c for c in tasks() if hasattr(c.part, "examples")], ids=str)
SPLITS: tuple[Split, ...] = ("train", "validation", "heldout")


@TASKS
def test_it_has_a_name(case: Case) -> None:
    assert case.construct().name.isidentifier()


def test_names_are_unique() -> None:
    names = [case.construct().name for case in tasks()]
    assert len(set(names)) == len(names)


@GENERATORS
def test_a_split_is_repeatable_and_has_no_duplicates(case: Case) -> None:
    first, again = (case.construct().examples("train", 20, 0) for _ in range(2))
    assert [(e.id, e.prompt) for e in first] == [(e.id, e.prompt) for e in again]
    assert len({e.id for e in first}) == 20


@GENERATORS
@pytest.mark.parametrize("seed", [0, 1])
def test_splits_share_nothing(case: Case, seed: int) -> None:
    ids = [{e.id for e in case.construct().examples(split, 30, seed)} for split in SPLITS]
    assert len(set.union(*ids)) == 90


@GENERATORS
def test_the_demonstration_is_right_and_its_beginning_is_not(case: Case) -> None:
    task = case.construct()
    for example in task.examples("train", 20, 0):
        (demonstration, *_) = example.demonstrations
        assert demonstration.chunks
        assert all(demonstration.chunks)
        assert task.verify(demonstration.text, example).score == 1.0
        assert task.verify("", example).score == 0.0


@GENERATORS
@settings(max_examples=25)
@given(response=st.text(max_size=60))
def test_any_text_is_judged(case: Case, response: str) -> None:
    task = case.construct()
    (example,) = task.examples("train", 1, 0)
    verdict = task.verify(response, example)
    assert verdict.score in (0.0, 0.1, 1.0)
    assert verdict.valid == (verdict.score != 0.0)
    assert verdict.reason


@GENERATORS
@pytest.mark.parametrize("split", SPLITS)
def test_a_rejected_answer_is_wrong_and_not_the_demonstration(case: Case, split: Split) -> None:
    task = case.construct()
    for example in task.examples(split, 30, 0):
        if (rejected := example.facts.get("rejected")) is not None:
            assert rejected != example.demonstrations[0].text
            assert task.verify(rejected, example).score < 1.0


def test_some_tasks_have_rejected_answers() -> None:
    made = [case.construct().examples("train", 1, 0)[0] for case in tasks() if hasattr(case.part, "examples")]
    assert sum("rejected" in example.facts for example in made) >= 2
