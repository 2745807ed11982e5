"""Solving a puzzle the way a person does: assume, look for a contradiction, go back. Every thought is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from posttrain.tasks.knights_logic import Claim, truth

Roles = Mapping[int, bool]


@dataclass(frozen=True)
class Assumed:
    """``person`` may have ``role`` (``True``: knight): no claim made so far is contradicted. ``known`` includes it."""

    person: int
    role: bool
    known: Roles


@dataclass(frozen=True)
class Excluded:
    """``person`` cannot have ``role``: the claim of ``speaker``, who is what ``speaker_role`` says, forbids it."""

    person: int
    role: bool
    speaker: int
    speaker_role: bool
    known: Roles


@dataclass(frozen=True)
class GoneBack:
    """Neither role is possible for the ``exhausted``, innermost first: the assumption about ``person`` was wrong."""

    exhausted: tuple[int, ...]
    person: int
    known: Roles


Thought = Assumed | Excluded | GoneBack


def think(claims: Sequence[Claim]) -> tuple[Thought, ...]:
    """The thoughts that lead to the first solution, knights tried before knaves.

    The next person is one whom the latest assumption speaks about, as a person would continue.

    Raises:
        ValueError: the claims have no solution.
    """
    thoughts: list[Thought] = []
    if _search(claims, {}, thoughts) is not None:
        raise ValueError("the claims contradict each other in every world")
    return tuple(thoughts)


def _search(claims: Sequence[Claim], known: dict[int, bool], thoughts: list[Thought]) -> tuple[int, ...] | None:
    """Extend ``known`` to a solution; the people exhausted without success, or ``None`` if it succeeded."""
    if len(known) == len(claims):
        return None
    person = _next_person(claims, known)
    exhausted: tuple[int, ...] = ()
    for role in (True, False):
        extended = {**known, person: role}
        speaker = _contradicted(claims, extended, person)
        if speaker is not None:
            thoughts.append(Excluded(person, role, speaker, extended[speaker], known))
            continue
        thoughts.append(Assumed(person, role, extended))
        below = _search(claims, extended, thoughts)
        if below is None:
            return None
        if role:
            thoughts.append(GoneBack(below, person, known))
        else:
            exhausted = below
    return (*exhausted, person)


def _next_person(claims: Sequence[Claim], known: Roles) -> int:
    mentioned = (person for speaker in reversed(list(known)) for person in claims[speaker].mentions)
    return next(person for person in chain(mentioned, range(len(claims))) if person not in known)


def _contradicted(claims: Sequence[Claim], known: Roles, newest: int) -> int | None:
    for speaker in (newest, *(person for person in known if person != newest)):
        if truth(claims[speaker], known) == (not known[speaker]):
            return speaker
    return None
