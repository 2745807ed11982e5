"""Whether a base is a fit beginning."""

import dataclasses

import pytest

from posttrain.errors import UserError
from posttrain.pretraining.fitness import LIMITS, Fitness, equations, require

FIT = Fitness(0.99, 100, 0.99, 0.99, 0.05, 0.01, 0.4, 1000)


def test_equations_are_found_and_judged() -> None:
    text = "11*1=11 ; 10 8 11\n11+10=22 ; 8 22\n22-8=14 ; 14\n14/7=2\n7/0=7\n= ((11*1)+10)-8"
    assert list(equations([text])) == [True, False, True, True, False]


def test_a_fit_base_passes() -> None:
    require(FIT)


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_base_outside_a_limit_is_refused(name: str) -> None:
    low, _ = LIMITS[name]
    with pytest.raises(UserError, match=name):
        require(dataclasses.replace(FIT, **{name: low / 2}))


def test_a_base_that_solves_too_much_is_refused() -> None:
    with pytest.raises(UserError, match="pass_at_1"):
        require(dataclasses.replace(FIT, pass_at_1=0.2))
