import math

import pytest

from posttrain.theory.growth import fit_exponential_law, fit_power_law, lower_bound, median_leaves, summarise
from posttrain.theory.rows import ExplorationRow


def row(height, method, seed, leaves, solved=True):
    return ExplorationRow(height, 3, method, seed, leaves, solved, 0.6 if solved else 0.1)


def test_the_laws_recover_what_made_the_numbers():
    power = fit_power_law({height: 5.0 * height**2.5 for height in (2, 4, 9, 24)})
    assert power is not None
    assert (power.scale, power.exponent) == pytest.approx((5.0, 2.5))
    assert power(10) == pytest.approx(5.0 * 10**2.5)
    exponential = fit_exponential_law({height: 7.0 * 3.0**height for height in (2, 4, 9)})
    assert exponential is not None
    assert (exponential.scale, exponential.factor) == pytest.approx((7.0, 3.0))
    assert exponential(5) == pytest.approx(7.0 * 3.0**5)


def test_one_known_median_fits_nothing():
    assert fit_power_law({2: 10.0, 3: math.inf}) is None
    assert fit_exponential_law({2: 10.0}) is None


def test_a_censored_run_counts_as_dearer_than_any_other():
    rows = [row(2, "rft", seed, leaves) for seed, leaves in enumerate((10, 30))]
    assert median_leaves([*rows, row(2, "rft", 2, 5, solved=False)], "rft") == {2: 30.0}
    assert median_leaves([*rows, *(row(2, "rft", seed, 5, solved=False) for seed in (2, 3))], "rft") == {2: math.inf}


def test_the_summary_holds_an_unknown_where_censoring_hides_the_median():
    rows = [row(2, "rft", 0, 40), row(2, "uft", 0, 20), row(3, "rft", 0, 99, solved=False), row(3, "uft", 0, 50)]
    two, three = summarise(rows)
    assert (two.height, two.bound, two.rft, two.uft, two.ratio) == (2, 2.25, 40.0, 20.0, 2.0)
    assert (three.bound, three.rft, three.uft, three.ratio) == (6.75, None, 50.0, None)


def test_the_bound_is_a_quarter_of_the_leaves():
    assert lower_bound(3, 10) == 59_049 / 4
