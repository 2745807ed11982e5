"""Some examples of a sequence: as a list of them would be, without being one."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.toy import toy_examples
from posttrain.data.subset import Subset, those

EXAMPLES = toy_examples(12)


@st.composite
def slices(draw: st.DrawFn) -> slice:
    bound = st.none() | st.integers(-15, 15)
    return slice(draw(bound), draw(bound), draw(st.none() | st.integers(-3, 3).filter(bool)))


@given(places=st.permutations(range(12)), size=st.integers(0, 12), parts=st.lists(slices(), max_size=3))
def test_it_is_what_a_list_would_be(places: list[int], size: int, parts: list[slice]) -> None:
    listed, subset = [EXAMPLES[place] for place in places[:size]], Subset(EXAMPLES, array("q", places[:size]))
    for part in parts:
        listed, subset = listed[part], subset[part]
    assert list(subset) == listed
    assert [subset[at] for at in range(-len(listed), len(listed))] == listed * 2
    assert len(subset) == len(listed)
    assert bool(subset) == bool(listed)
    with pytest.raises(IndexError):
        subset[len(listed)]


def test_a_subset_of_a_subset() -> None:
    assert list(Subset(Subset(EXAMPLES, range(11, -1, -1)), [0, 3])) == [EXAMPLES[11], EXAMPLES[8]]


@pytest.mark.parametrize(
    ("places", "sentence"),
    [([0, 12], "between 0 and 11"), ([-1], "between 0 and 11"), ([3, 1, 3], "a place twice")],
)
def test_places_that_make_no_sense(places: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Subset(EXAMPLES, places)


def test_those_that_are_wanted_keep_their_order() -> None:
    found = those(EXAMPLES, lambda example: example.id in ("toy-7", "toy-2"))
    assert [example.id for example in found] == ["toy-2", "toy-7"]
