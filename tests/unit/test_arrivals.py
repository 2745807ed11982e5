"""Things that come in any order stand in theirs again."""

import pytest

from posttrain.arrivals import in_order, placed


def test_a_list_is_in_order_and_arrivals_are_put_in_it() -> None:
    assert in_order(["a", "b", "c"], 3) == ["a", "b", "c"]
    assert in_order(iter([(2, "c"), (0, "a"), (1, "b")]), 3) == ["a", "b", "c"]
    assert list(placed(["a", "b"])) == [(0, "a"), (1, "b")]
    assert list(placed(iter([(1, "b"), (0, "a")]))) == [(1, "b"), (0, "a")]


@pytest.mark.parametrize("places", [(0,), (0, 0), (0, 2), (0, 1, 1), (-1, 0)])
def test_every_place_comes_once(places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 were asked for"):
        in_order(iter([(place, "x") for place in places]), 2)
