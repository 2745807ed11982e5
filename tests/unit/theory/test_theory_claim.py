"""What the theory promises, measured at full size; about two minutes."""

import numpy as np
import pytest

from posttrain.theory.experiment import SEEDS, explore_once, run_theory
from posttrain.theory.exploration import ExplorationSettings, no_hint, uniform_hint

pytestmark = pytest.mark.claim


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return run_theory(tmp_path_factory.mktemp("theory"), SEEDS, lambda done, total: None)


def control_ratio(height):
    """The ratio of medians over 1,000 seeds; 25 would leave it uncertain by a quarter."""
    rft, uft = (
        np.median([explore_once("any", law, 3, height, seed, ExplorationSettings()).leaves for seed in range(1_000)])
        for law in (no_hint, uniform_hint)
    )
    return rft / uft


def test_rft_never_beats_the_lower_bound(report):
    both = [summary for summary in report.heights if summary.height <= 10]
    assert [summary.height for summary in both] == list(range(2, 11))
    assert all(summary.rft is not None and summary.rft >= summary.bound for summary in both)


def test_rft_needs_twenty_times_uft_s_leaves_at_height_ten(report):
    (ten,) = [summary for summary in report.heights if summary.height == 10]
    assert ten.ratio is not None
    assert ten.ratio >= 20


def test_uft_grows_slower_than_the_fourth_power(report):
    assert report.uft_growth is not None
    assert report.uft_growth.exponent < 4
    assert all(summary.uft is not None for summary in report.heights)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_control_hints_hardly_matter_in_small_trees(height):
    assert control_ratio(height) < 2


@pytest.mark.xfail(reason="measured 2.2: at height 4 hints already matter, the control ends at height 3")
def test_control_hints_hardly_matter_at_height_four():
    assert control_ratio(4) < 2


def test_annealing_wins_only_where_answers_are_rare(report):
    def reached(method, height):
        return np.median([row.pass_at_1 for row in report.annealing if (row.method, row.height) == (method, height)])

    assert reached("rft", 8) < 0.01
    assert reached("r3", 8) < min(reached(method, 8) for method in ("staged", "cosine", "uft"))
    assert reached("uft", 8) > 0.95
    assert all(reached(method, 4) > 0.95 for method in ("rft", "r3", "staged", "cosine", "uft"))
