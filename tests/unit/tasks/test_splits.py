"""Splits are disjoint by construction, draws are repeatable, small spaces are named."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.errors import UserError
from posttrain.tasks.base import Task
from posttrain.tasks.chain_sums import ChainSums
from posttrain.tasks.countdown import Countdown
from posttrain.tasks.key_paths import KeyPaths
from posttrain.tasks.knights_and_knaves import KnightsAndKnaves
from posttrain.tasks.splits import split_of

TASKS: list[Task] = [Countdown(), KeyPaths(horizon=2), ChainSums(digits=(3,)), KnightsAndKnaves(people=(3,))]
SPLITS = ("train", "validation", "heldout")


def ids(task: Task, split: str, count: int, seed: int) -> list[str]:
    return [example.id for example in task.examples(split, count, seed)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_splits_never_share_a_problem(task: Task) -> None:
    drawn = {
        split: {name for seed, count in product((0, 1, -7), (3, 40)) for name in ids(task, split, count, seed)}
        for split in SPLITS
    }
    assert all(drawn.values())
    assert not drawn["train"] & drawn["validation"]
    assert not drawn["train"] & drawn["heldout"]
    assert not drawn["validation"] & drawn["heldout"]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@settings(max_examples=5)
@given(seed=st.integers(), count=st.integers(0, 25), split=st.sampled_from(SPLITS))
def test_draws_are_distinct_repeatable_and_nested(task: Task, seed: int, count: int, split: str) -> None:
    drawn = ids(task, split, count, seed)
    assert len(set(drawn)) == count
    assert ids(task, split, count + 5, seed)[:count] == drawn
    examples = task.examples(split, count, seed)
    assert [example.prompt for example in examples] == [e.prompt for e in task.examples(split, count, seed)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_seeds_and_prompts_differ(task: Task) -> None:
    assert ids(task, "train", 20, 0) != ids(task, "train", 20, 1)
    prompts = [example.prompt for example in task.examples("train", 40, 0)]
    assert len(set(prompts)) == 40


def test_the_shares_are_a_sixteenth_and_an_eighth() -> None:
    counts = {split: sum(split_of(f"key {i}") == split for i in range(8000)) for split in SPLITS}
    assert counts["validation"] == pytest.approx(500, rel=0.15)
    assert counts["heldout"] == pytest.approx(1000, rel=0.15)


def test_the_split_of_a_key_never_changes() -> None:
    assert [split_of(f"key {i}") for i in range(6)] == PINNED


PINNED = ["train", "heldout", "train", "train", "train", "train"]


def test_a_space_that_is_too_small_says_how_much_there_is() -> None:
    exist = sum(split_of(f"chain_sums/{number:02d}") == "heldout" for number in range(100))
    with pytest.raises(UserError, match=f"only {exist} heldout problems exist.*100 were asked for"):
        ChainSums(digits=(2,)).examples("heldout", 100, 0)
    assert len(ChainSums(digits=(2,)).examples("heldout", exist, 0)) == exist


def test_bad_requests_are_one_sentence() -> None:
    with pytest.raises(UserError, match="did you mean 'heldout'"):
        Countdown().examples("held-out", 1, 0)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot be negative, got -1"):
        Countdown().examples("train", -1, 0)
