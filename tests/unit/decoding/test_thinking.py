"""Where a text is thinking, with markers of one and of several tokens."""

import pytest
import torch

from posttrain.decoding.thinking import Thinking
from posttrain.errors import UserError
from posttrain.text import Text

ONE = Thinking(stop=(8,), start=(5,))
SEVERAL = Thinking(stop=(8, 9, 8), start=(5, 6))
NO, YES = False, True


def progress(thinking: Thinking, *texts: list[int]) -> list[tuple[bool, int, int]]:
    """Per text whether it is thinking, how much of the stop marker it ends with, and the token that goes on with it."""
    stretch = thinking.stretch([torch.tensor(text) for text in texts])
    return list(zip(stretch.open.tolist(), stretch.matched.tolist(), stretch.following.tolist()))


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ([1, 2], NO),
        ([5], YES),
        ([1, 5, 2], YES),
        ([5, 2, 8], NO),
        ([5, 2, 8, 3], NO),
        ([8, 5], YES),
        ([5, 8, 1, 5, 2], YES),  # a prompt that speaks about the markers, and then opens the thinking
        ([5, 8, 5, 8], NO),
    ],
    ids=str,
)
def test_markers_of_one_token(text: list[int], is_open: bool) -> None:
    assert progress(ONE, text) == [(is_open, 0, 8)]


@pytest.mark.parametrize(
    ("text", "is_open", "matched", "following"),
    [
        ([5], NO, 0, 8),
        ([5, 6], YES, 0, 8),
        ([5, 6, 8], YES, 1, 9),
        ([5, 6, 8, 9], YES, 2, 8),
        ([5, 6, 8, 9, 8], NO, 1, 9),
        ([5, 6, 8, 9, 1], YES, 0, 8),
        ([5, 6, 8, 8], YES, 1, 9),  # the second 8 begins the marker anew
        ([5, 6, 8, 9, 1, 8, 9], YES, 2, 8),
        ([6, 5, 8, 9], NO, 2, 8),
    ],
    ids=str,
)
def test_markers_of_several_tokens(text: list[int], is_open: bool, matched: int, following: int) -> None:
    ((found, count, token),) = progress(SEVERAL, text)
    assert found == is_open
    if is_open:
        assert (count, token) == (matched, following)


def test_a_stop_marker_does_not_begin_within_the_start_marker() -> None:
    overlapping = Thinking(stop=(6, 7), start=(5, 6))
    assert progress(overlapping, [5, 6], [5, 6, 7], [5, 6, 6], [5, 6, 6, 7]) == [
        (YES, 0, 6),
        (YES, 0, 6),
        (YES, 1, 7),
        (NO, 0, 6),
    ]


def test_texts_of_different_lengths_are_told_apart_row_by_row() -> None:
    assert progress(ONE, [5], [1, 5, 8, 2, 2, 2], [2, 2, 5, 1]) == [(YES, 0, 8), (NO, 0, 8), (YES, 0, 8)]


def test_the_tokens_of_the_thinking_are_counted_without_what_may_become_the_stop_marker() -> None:
    texts = [torch.tensor(t) for t in ([5, 6], [1, 5, 6, 2, 3], [5, 6, 2, 8], [5, 6, 2, 8, 9], [5, 6, 2, 8, 9, 4])]
    assert SEVERAL.stretch(texts).thought.tolist() == [0, 2, 1, 1, 4]


def test_without_a_start_everything_is_thinking() -> None:
    assert progress(Thinking(stop=(8,)), [1], [1, 8, 2], [8]) == [(YES, 0, 8)] * 3


def test_markers_may_be_given_as_text(text: Text) -> None:
    thinking = Thinking.between(text, "=", "de")
    assert thinking == Thinking(tuple(text.encode("de").tolist()), tuple(text.encode("=").tolist()))
    with pytest.raises(UserError, match="cannot represent"):
        Thinking.between(text, "<think>", "de")


@pytest.mark.parametrize("markers", [{"stop": ()}, {"stop": (1,), "start": ()}], ids=str)
def test_a_marker_without_tokens_is_refused(markers) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Thinking(**markers)
