"""Marks of two texts that differ: by lines, by characters, and always somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.rollouts import differences
from posttrain.rollouts.differences import Marks, contrast

TEXTS = st.text(alphabet="ab \n", max_size=12)


def shown(text: str, flags: tuple[bool, ...]) -> str:
    """Marked characters as they are, the others as dots."""
    return "".join(c if flag else "." for c, flag in zip(text, flags, strict=True))


def both(correct: str, faulty: str) -> tuple[str, str]:
    found = contrast(correct, faulty)
    return shown(correct, found.correct.characters), shown(faulty, found.faulty.characters)


@pytest.mark.parametrize(
    ("correct", "faulty", "marked", "marked_faulty"),
    [
        ("x<y", "x>y", ".<.", ".>."),
        ("x<=y", "x<y", "..=.", "..."),  # only the correct text has it: the faulty one has nothing to mark
        ("x<y", "x<=y", ".<y", "..=."),  # only the faulty text has it: the neighbours carry the mark
        ("kitten", "sitting", "k...en", "s...i.g"),
        ("ab", "", "ab", ""),
        ("b", "bc", "b", ".c"),
        ("c", "bc", "c", "b."),
        ("same", "same", "....", "...."),
    ],
)
def test_characters_that_an_alignment_changes(correct: str, faulty: str, marked: str, marked_faulty: str) -> None:
    assert both(correct, faulty) == (marked, marked_faulty)


def test_lines_that_the_other_text_has_not() -> None:
    found = contrast("a = 1\nb = 2\nc = 3\n", "a = 1\nb = 5\nc = 3\n")
    assert shown("a = 1\nb = 2\nc = 3\n", found.correct.lines) == "......b = 2\n......"
    assert shown("a = 1\nb = 2\nc = 3\n", found.correct.characters) == "..........2......."
    assert shown("a = 1\nb = 5\nc = 3\n", found.faulty.characters) == "..........5......."


def test_a_missing_line_is_marked_as_a_whole() -> None:
    found = contrast("a\nb\nc\n", "a\nc\n")
    assert shown("a\nb\nc\n", found.correct.characters) == "..b\n.."
    assert not any(found.faulty.lines)


def test_a_line_too_many_marks_the_lines_beside_it() -> None:
    found = contrast("a\nbb\n", "a\nxx\nbb\n")
    assert shown("a\nbb\n", found.correct.characters) == ".\nb.."
    assert shown("a\nbb\n", found.correct.lines) == "a\nbb\n"
    assert shown("a\nxx\nbb\n", found.faulty.lines) == "..xx\n..."


def is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(c in rest for c in short)


def unmarked(text: str, marks: Marks) -> str:
    return "".join(c for c, flag in zip(text, marks.characters) if not flag)


@given(correct=TEXTS, faulty=TEXTS)
def test_what_is_not_marked_is_in_the_other_text_in_its_order(correct: str, faulty: str) -> None:
    found = contrast(correct, faulty)
    assert is_subsequence(unmarked(correct, found.correct), faulty)
    assert is_subsequence(unmarked(faulty, found.faulty), correct)


@given(correct=TEXTS, faulty=TEXTS)
def test_marked_characters_stand_in_marked_lines(correct: str, faulty: str) -> None:
    found = contrast(correct, faulty)
    for text, marks in ((correct, found.correct), (faulty, found.faulty)):
        assert len(marks.lines) == len(marks.characters) == len(text)
        assert all(line or not character for line, character in zip(marks.lines, marks.characters))


@given(correct=TEXTS.filter(bool), faulty=TEXTS)
def test_texts_leave_marks_exactly_where_they_differ(correct: str, faulty: str) -> None:
    assert any(contrast(correct, faulty).correct.characters) == (correct != faulty)


def test_stretches_too_long_to_align_are_marked_between_their_common_ends() -> None:
    ours, theirs = "same " + "ab" * 4000 + " end\n", "same " + "ba" * 3000 + " end\n"
    found = contrast(ours, theirs)
    for text, marks in ((ours, found.correct), (theirs, found.faulty)):
        assert marks.characters == (False,) * 5 + (True,) * (len(text) - 10) + (False,) * 5
    assert is_subsequence(unmarked(ours, found.correct), theirs)


@given(correct=TEXTS, faulty=TEXTS)
def test_whatever_the_bound_the_marks_keep_their_meaning(correct: str, faulty: str) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(differences, "ALIGNED_AT_MOST", 4)
        found = contrast.__wrapped__(correct, faulty)
    assert is_subsequence(unmarked(correct, found.correct), faulty)
    assert is_subsequence(unmarked(faulty, found.faulty), correct)
    assert any(found.correct.characters) == (correct != faulty and correct != "")


@given(text=TEXTS, at=st.integers(0, 11), other=st.sampled_from("ab"))
def test_a_single_substitution_is_the_only_mark_in_both(text: str, at: int, other: str) -> None:
    text = text.replace("\n", "b")  # a line break would change which lines are compared
    if at >= len(text) or text[at] == other:
        return
    found = contrast(text, text[:at] + other + text[at + 1 :])
    assert sum(found.correct.characters) == sum(found.faulty.characters) == 1
    assert found.correct.characters[at]
