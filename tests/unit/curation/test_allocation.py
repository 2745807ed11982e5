"""What a budget buys, to the last unit, and which examples these are."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.toy import toy_examples
from posttrain.curation.allocation import Allocation, Costs, allocated, bought
from posttrain.errors import UserError
from tolerances import ROUNDING

SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 1.0)
COSTS = st.builds(Costs, *[st.integers(1, 400).map(lambda n: n / 100)] * 2)
BUDGETS = st.integers(0, 500_000).map(lambda n: n / 100)


@pytest.mark.parametrize(
    ("budget", "share", "costs", "expected"),
    [
        (100, 0.25, Costs(), (25, 75)),
        (100, 0.0, Costs(), (0, 100)),
        (100, 1.0, Costs(), (100, 0)),
        (100, 0.29, Costs(), (29, 71)),  # in binary, 0.29 * 100 is less than 29
        (10.5, 1.0, Costs(1, 0.1), (10, 0)),  # what is left would buy pairs, but there is no second stage
        (10.5, 0.5, Costs(2, 0.5), (2, 13)),
        (0.3, 0.0, Costs(1, 0.1), (0, 3)),
        (0, 0.5, Costs(), (0, 0)),
    ],
)
def test_whole_examples_for_the_share_and_then_for_the_rest(budget, share, costs, expected) -> None:
    assert dataclasses.astuple(allocated(budget, share, costs)) == expected


@given(budget=BUDGETS, share=st.sampled_from(SHARES) | st.floats(0, 1), costs=COSTS)
def test_what_is_left_buys_nothing_more(budget: float, share: float, costs: Costs) -> None:
    found = allocated(budget, share, costs)
    assert found.cost(costs) <= budget + ROUNDING
    dearest = costs.demonstration if share == 1 else max(costs.demonstration, costs.pair)
    assert found.cost(costs) > budget - dearest - ROUNDING
    assert (found.demonstrations == 0) or share > 0
    assert (found.pairs == 0) or share < 1


@given(budget=BUDGETS, share=st.sampled_from(SHARES), costs=COSTS, pair=st.integers(1, 400))
def test_the_price_of_pairs_changes_only_their_number(budget: float, share: float, costs: Costs, pair: int) -> None:
    other = dataclasses.replace(costs, pair=pair / 100)
    assert allocated(budget, share, other).demonstrations == allocated(budget, share, costs).demonstrations


@given(budget=BUDGETS, costs=COSTS)
def test_a_larger_share_never_buys_fewer_demonstrations(budget: float, costs: Costs) -> None:
    found = [allocated(budget, share, costs) for share in SHARES]
    assert [a.demonstrations for a in found] == sorted(a.demonstrations for a in found)
    assert [a.pairs for a in found] == sorted((a.pairs for a in found), reverse=True)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_shares_outside_the_unit_interval_are_refused(share: float) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        allocated(10, share, Costs())


@pytest.mark.parametrize("budget", [-1, math.inf, math.nan])
def test_budgets_that_are_no_amount_are_refused(budget: float) -> None:
    with pytest.raises(UserError, match="negative or infinite"):
        allocated(budget, 0.5, Costs())


@pytest.mark.parametrize("costs", [(0, 1), (1, 0), (-1, 1), (1, math.inf), (math.nan, 1)])
def test_costs_that_are_none_are_refused(costs: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="above 0 and finite"):
        Costs(*costs)


EXAMPLES = toy_examples(30)


def ids(examples) -> list[str]:
    return [e.id for e in examples]


def test_larger_numbers_contain_smaller_ones_and_prompts_are_disjoint() -> None:
    pairs_so_far, shown_so_far = [], []
    for count in range(1, 16):
        shown, paired = bought(EXAMPLES, Allocation(count, 30 - count), "disjoint", 0)
        assert ids(shown)[: len(shown_so_far)] == shown_so_far
        assert not {e.prompt for e in shown} & {e.prompt for e in paired}
        assert sorted(ids(shown) + ids(paired)) == sorted(ids(EXAMPLES))
        shown_so_far = ids(shown)
    for count in range(1, 16):
        _, paired = bought(EXAMPLES, Allocation(30 - count, count), "disjoint", 0)
        assert ids(paired)[: len(pairs_so_far)] == pairs_so_far
        pairs_so_far = ids(paired)


def test_with_shared_prompts_both_are_taken_from_the_beginning() -> None:
    shown, paired = bought(EXAMPLES, Allocation(10, 30), "shared", 0)
    assert ids(paired)[:10] == ids(shown)


def test_the_order_is_one_of_the_seed() -> None:
    first, again, other = (bought(EXAMPLES, Allocation(20, 0), "disjoint", seed)[0] for seed in (0, 0, 1))
    assert ids(first) == ids(again) != ids(other)
    assert ids(first) != ids(EXAMPLES[:20])


def test_examples_with_one_prompt_are_never_parted() -> None:
    doubled = (*EXAMPLES, *(dataclasses.replace(e, id=f"{e.id} again") for e in EXAMPLES))
    for count in range(0, 61, 2):
        shown, paired = bought(doubled, Allocation(count, 60 - count), "disjoint", 0)
        assert not {e.prompt for e in shown} & {e.prompt for e in paired}
    with pytest.raises(UserError, match="stands in several examples"):
        bought(doubled, Allocation(31, 29), "disjoint", 0)


@pytest.mark.parametrize(
    ("allocation", "prompts", "sentence"),
    [
        (Allocation(0, 0), "disjoint", "too small for a single example"),
        (Allocation(20, 11), "disjoint", "20 demonstrations and 11 pairs with disjoint prompts"),
        (Allocation(5, 31), "shared", "only 30 training examples"),
    ],
)
def test_what_cannot_be_bought_is_refused(allocation: Allocation, prompts, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        bought(EXAMPLES, allocation, prompts, 0)
