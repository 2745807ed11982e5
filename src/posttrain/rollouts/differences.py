"""Where a correct text and a faulty variant of it differ, by lines and by characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

ALIGNED_AT_MOST = 1 << 20
"""Pairs of characters that are compared to align two differing stretches: a thousand on either side, half a second."""


@dataclass(frozen=True)
class Marks:
    """Which characters of a text are marked, one flag per character.

    Args:
        lines: those of lines that the other text has not, or that hold a marked character.
        characters: those that an alignment inserts or substitutes; always within ``lines``.
    """

    lines: tuple[bool, ...]
    characters: tuple[bool, ...]


@dataclass(frozen=True)
class Contrast:
    """The marks of both texts; what is not marked of the one is a subsequence of the other."""

    correct: Marks
    faulty: Marks


@lru_cache(maxsize=1 << 14)
def contrast(correct: str, faulty: str) -> Contrast:
    """Compare line by line (difflib), then align the lines that differ character by character (Levenshtein).

    What only the faulty text has leaves no character in the correct one: the two characters beside the gap carry the
    mark instead (our reading of 2503.16913), so that two texts that differ always leave marks in the correct one. Two
    stretches that are too long to be aligned (``ALIGNED_AT_MOST``) are marked as a whole, between what they begin and
    end with in common.
    """
    ours, theirs = correct.splitlines(keepends=True), faulty.splitlines(keepends=True)
    marked, marked_faulty = [False] * len(correct), [False] * len(faulty)
    starts, starts_faulty = _starts(ours), _starts(theirs)
    unmatched, unmatched_faulty = set[int](), set[int]()
    for kind, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        unmatched |= set(range(a, b))
        unmatched_faulty |= set(range(c, d))
        for edit, i, j in _edits("".join(ours[a:b]), "".join(theirs[c:d])):
            if edit == "ours":
                marked[starts[a] + i] = True
            if edit == "theirs":
                for beside in {starts[a] + i - 1, starts[a] + i} & set(range(len(correct))):
                    marked[beside] = True
                marked_faulty[starts_faulty[c] + j] = True
            if edit == "both":
                marked[starts[a] + i] = marked_faulty[starts_faulty[c] + j] = True
    return Contrast(_marks(ours, unmatched, marked), _marks(theirs, unmatched_faulty, marked_faulty))


def _starts(lines: Sequence[str]) -> list[int]:
    """Where each line begins, and where the text ends."""
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return starts


def _marks(lines: Sequence[str], unmatched: set[int], characters: Sequence[bool]) -> Marks:
    flags: list[bool] = []
    for number, line in enumerate(lines):
        own = characters[len(flags) : len(flags) + len(line)]
        flags += [number in unmatched or any(own)] * len(line)
    return Marks(tuple(flags), tuple(characters))


def _edits(ours: str, theirs: str) -> Iterator[tuple[str, int, int]]:
    """The edits of a shortest alignment: ``(whose character, index in ours, index in theirs)``.

    ``"ours"`` has no counterpart, ``"theirs"`` stands before index ``i`` of ours, ``"both"`` differ.
    """
    head = _common(ours, theirs)
    tail = _common(ours[head:][::-1], theirs[head:][::-1])
    a, b = ours[head : len(ours) - tail], theirs[head : len(theirs) - tail]
    if len(a) * len(b) > ALIGNED_AT_MOST:
        last_a, last_b = len(a) - 1, len(b) - 1
        yield from (("both", head + min(k, last_a), head + min(k, last_b)) for k in range(max(len(a), len(b))))
        return
    distances = _distances(a, b)
    i, j = len(a), len(b)
    while i or j:
        here = distances[i][j]
        if i and j and here == distances[i - 1][j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            if a[i] != b[j]:
                yield "both", head + i, head + j
        elif i and here == distances[i - 1][j] + 1:
            i -= 1
            yield "ours", head + i, head + j
        else:
            j -= 1
            yield "theirs", head + i, head + j


def _common(first: str, second: str) -> int:
    """How many leading characters are the same."""
    count = 0
    for one, other in zip(first, second):
        if one != other:
            break
        count += 1
    return count


def _distances(a: str, b: str) -> list[list[int]]:
    """Levenshtein distances of all leading parts of both."""
    table = [list(range(len(b) + 1))]
    for i, one in enumerate(a, 1):
        above, row = table[-1], [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j - 1] + (one != other), above[j] + 1, row[j - 1] + 1))
        table.append(row)
    return table
