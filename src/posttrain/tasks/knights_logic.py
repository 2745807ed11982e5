"""What inhabitants say about each other, when it is true, and which worlds are consistent with it all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ATOMS = ("telling-truth", "lying")
CONNECTIVES = ("and", "or", "->", "<=>")
_ORDERLESS = ("and", "or", "<=>")


@dataclass(frozen=True)
class Claim:
    """A statement about who is a knight.

    Args:
        kind: ``"telling-truth"`` or ``"lying"`` (an atom about ``person``), ``"not"`` (one part), ``"and"``,
            ``"or"``, ``"->"`` or ``"<=>"`` (two parts).
        person: 0-based index, -1 where there are parts.
        parts: the claims that it is made of.
    """

    kind: str
    person: int = -1
    parts: tuple[Claim, ...] = ()

    @property
    def mentions(self) -> tuple[int, ...]:
        """The people spoken of, in order of appearance, with repetitions."""
        return tuple(person for part in self.parts for person in part.mentions) if self.parts else (self.person,)


def truth(claim: Claim, knights: Mapping[int, bool]) -> bool | None:
    """Whether the claim holds when only the roles in ``knights`` are known; ``None`` if that is still open."""
    if claim.kind in ATOMS:
        role = knights.get(claim.person)
        return None if role is None else role == (claim.kind == "telling-truth")
    values = [truth(part, knights) for part in claim.parts]
    if claim.kind == "not":
        return None if values[0] is None else not values[0]
    if claim.kind == "<=>":
        return None if None in values else values[0] == values[1]
    if claim.kind == "->":
        values[0] = None if values[0] is None else not values[0]
    decisive = claim.kind != "and"
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def solutions(claims: Sequence[Claim]) -> list[tuple[bool, ...]]:
    """Every assignment of roles (``True``: knight) in which exactly the knights' claims are true.

    Works on truth tables written as whole numbers: bit w of a table belongs to world w, in which person i is a
    knight if bit i of w is set.
    """
    people = len(claims)
    worlds = (1 << (1 << people)) - 1
    for person, claim in enumerate(claims):
        worlds &= ~(_table(claim, people) ^ _knight(person, people))
    found = (world for world in range(1 << people) if worlds >> world & 1)
    return [tuple(bool(world >> person & 1) for person in range(people)) for world in found]


def structure(claims: Sequence[Claim]) -> str:
    """A key that is equal for puzzles which differ only in names, seating or the order inside a claim.

    Colour refinement: everybody's colour is their claim written with the colours of those it mentions. The result
    cannot tell apart a few symmetric puzzles, which then count as one.
    """
    colours = [""] * len(claims)
    for _ in claims:
        colours = [_digest(_coloured(claim, speaker, colours)) for speaker, claim in enumerate(claims)]
    return f"{len(claims)}-{_digest(' '.join(sorted(colours)))}"


def _knight(person: int, people: int) -> int:
    return sum(1 << world for world in range(1 << people) if world >> person & 1)


def _table(claim: Claim, people: int) -> int:
    worlds = (1 << (1 << people)) - 1
    if claim.kind in ATOMS:
        knight = _knight(claim.person, people)
        return knight if claim.kind == "telling-truth" else worlds & ~knight
    first, second = (_table(claim.parts[0], people), _table(claim.parts[-1], people))
    tables = {
        "not": ~first,
        "and": first & second,
        "or": first | second,
        "->": ~first | second,
        "<=>": ~(first ^ second),
    }
    return worlds & tables[claim.kind]


def _coloured(claim: Claim, speaker: int, colours: Sequence[str]) -> str:
    if claim.kind in ATOMS:
        return f"{claim.kind}:{'self' if claim.person == speaker else ''}{colours[claim.person]}"
    if claim.kind == "not" and claim.parts[0].kind in ATOMS:
        atom = claim.parts[0]
        return _coloured(Claim(ATOMS[1 - ATOMS.index(atom.kind)], atom.person), speaker, colours)
    parts = [_coloured(part, speaker, colours) for part in claim.parts]
    return f"{claim.kind}({','.join(sorted(parts) if claim.kind in _ORDERLESS else parts)})"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
