"""What the claims about real data compute from a run's rows."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from posttrain.rollouts.hints import BinomialCosine
from posttrain.types import Progress

FILE = Path(__file__).parents[2] / "claims" / "real_data.py"


@pytest.fixture(scope="module")
def real_data():
    sys.path.insert(0, str(FILE.parent))  # its neighbours are imported by their bare names
    description = importlib.util.spec_from_file_location("real_data", FILE)
    module = importlib.util.module_from_spec(description)
    try:
        description.loader.exec_module(module)
    finally:
        sys.path.remove(str(FILE.parent))
    return module


def drawn(law, shift=0.0):
    numbers = random.Random(0)
    rows = []
    for step in range(1, 51):
        chance = law.probability(Progress(step - 1, 50, 0)) + shift
        for prompt in range(16):
            successes = sum(numbers.random() < chance for _ in range(4))
            row = {"step": step, "example": f"{prompt}", "hint_fraction": successes / 4}
            rows += [row, row]  # two rollouts of a group say the same thing once
    return rows


def test_draws_from_the_schedule_are_within_three_standard_errors(real_data):
    law, parts = BinomialCosine(), {f"{prompt}": 4 for prompt in range(16)}
    found = real_data.hint_fraction(drawn(law), law, parts, 50)
    assert found["holds"]
    assert found["draws"] == 800
    assert not real_data.hint_fraction(drawn(law, 0.07), law, parts, 50)["holds"]


def test_the_likelihood_is_read_without_its_coefficient_and_without_steps_that_had_no_hint(real_data):
    metrics = [{"loss/hint likelihood": value} for value in (*[0.2] * 5, 0.15, *[0.08] * 5, 0.0, 0.0)]
    found = real_data.hint_nll(metrics, 0.1)
    assert (found["first"], found["last"]) == pytest.approx((2.0, 0.8))
    assert found["holds"]


def test_rewards_are_compared_within_steps_that_have_both(real_data):
    pairs = [(0.5, None), (0.4, 0.1), (0.3, 0.1), (0.5, 0.1), (None, 0.9)]
    found = real_data.hinted_reward([{"reward_hinted": h, "reward_scratch": s} for h, s in pairs])
    assert found["steps"] == 3
    assert found["difference"] == pytest.approx(0.3)
    assert found["holds"]


@pytest.mark.parametrize(("end", "holds"), [(0.16, True), (0.15, False)])
def test_accuracy_must_end_above_the_interval(real_data, end, holds):
    base = {"accuracy": 0.1, "ci95": [0.06, 0.15]}
    evaluations = [{"accuracy": 0.1}, {"accuracy": end, "ci95": [0.1, 0.2], "n": 100}]
    assert real_data.accuracy(evaluations, base)["holds"] is holds
