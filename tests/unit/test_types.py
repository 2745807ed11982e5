"""Durations, demonstrations and the seeds of randomness."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posttrain.durations import Fraction, Steps
from posttrain.sampling import Sampling
from posttrain.types import Demonstration, Progress, Verdict

NOW = Progress(3, 10, seed=7, scope=("stage",))


def test_a_demonstration_reads_as_its_chunks_then_its_tail() -> None:
    assert Demonstration(("one ", "two "), "end").text == "one two end"


@pytest.mark.parametrize(("fraction", "total", "steps"), [(0.6, 500, 300), (0.0, 500, 0), (1.0, 7, 7), (0.6, 4, 2)])
def test_a_fraction_of_a_stage_in_steps(fraction: float, total: int, steps: int) -> None:
    assert Fraction(fraction).of(total) == steps


def test_steps_do_not_depend_on_the_stage() -> None:
    assert Steps(300).of(10) == Steps(300).of(500) == 300


@pytest.mark.parametrize("make", [lambda: Steps(-1), lambda: Fraction(1.1), lambda: Fraction(-0.1)])
def test_impossible_durations_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"negative|between 0 and 1"):
        make()


@pytest.mark.parametrize("settings", [{"temperature": -0.1}, {"max_new_tokens": 0}])
def test_impossible_sampling_is_refused(settings) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Sampling(**settings)


def test_equal_moments_draw_equal_numbers() -> None:
    again = Progress(3, 10, seed=7, scope=("stage",))
    assert torch.equal(torch.rand(5, generator=NOW.generator("x")), torch.rand(5, generator=again.generator("x")))


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(NOW, step=4).key("x"),
        dataclasses.replace(NOW, seed=8).key("x"),
        NOW.within("stream").key("x"),
        NOW.key("y"),
        NOW.key("x", 0),
        NOW.key(),
    ],
)
def test_step_seed_scope_and_names_each_change_the_key(other: int) -> None:
    assert other != NOW.key("x")


def test_the_length_of_a_stage_does_not_change_its_randomness() -> None:
    assert dataclasses.replace(NOW, total_steps=99).key("x") == NOW.key("x")


@given(st.integers(), st.integers(min_value=0), st.text())
def test_every_key_is_a_seed_that_torch_accepts(seed: int, step: int, name: str) -> None:
    key = Progress(step, step, seed).key(name)
    assert 0 <= key < 2**63
    torch.Generator().manual_seed(key)


@pytest.mark.parametrize(("score", "correct"), [(1.0, True), (0.99, False), (0.0, False), (-2.0, False), (None, None)])
def test_only_the_full_score_is_correct_and_what_nobody_judged_is_neither(score, correct) -> None:
    assert Verdict(score, "why", valid=True).correct is correct
