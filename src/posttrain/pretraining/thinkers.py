"""What people of different insight think about knights and knaves, written as the task writes its solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from posttrain.tasks.knights_forms import conclusions, spoken
from posttrain.tasks.knights_logic import Claim, truth
from posttrain.tasks.knights_reasoning import Assumed, Excluded, GoneBack, Roles, Thought

REJECTED = 0.35
"""How often one who guesses takes a role for impossible."""


@dataclass(frozen=True)
class Thinker:
    """Somebody who assumes, excludes and, once, goes back.

    Args:
        insight: how often contradictions are looked for; otherwise they are guessed. Between 0 and 1.
        numbers: chance.
    """

    insight: float
    numbers: Random

    def think(self, claims: Sequence[Claim], order: Sequence[int]) -> tuple[list[Thought], Roles]:
        """Thoughts about people in that order, and the roles (``True``: knight) that they end with.

        When both roles of a person are excluded, the last knight is reconsidered and becomes a knave; the second
        time, the person is called a knave for all that.
        """
        thoughts: list[Thought] = []
        known: dict[int, bool] = {}
        went_back = False
        while len(known) < len(claims):
            person = next(other for other in order if other not in known)
            role = self._possible(thoughts, claims, known, person)
            knights = [other for other, placed in known.items() if placed]
            if role is None and knights and not went_back:
                wrong, went_back = knights[-1], True
                known = _before(known, wrong)
                thoughts.append(GoneBack((person,), wrong, known))
                person, role = wrong, False
            known = {**known, person: bool(role)}
            thoughts.append(Assumed(person, bool(role), known))
        return thoughts, known

    def _possible(self, thoughts: list[Thought], claims: Sequence[Claim], known: Roles, person: int) -> bool | None:
        """The first role of the two that is not excluded."""
        for role in (True, False):
            speaker = self._contradicted(claims, {**known, person: role}, person)
            if speaker is None:
                return role
            thoughts.append(Excluded(person, role, speaker, {**known, person: role}[speaker], known))
        return None

    def _contradicted(self, claims: Sequence[Claim], known: Roles, newest: int) -> int | None:
        speakers = (newest, *(other for other in known if other != newest))
        if self.numbers.random() >= self.insight:
            return self.numbers.choice(speakers) if self.numbers.random() < REJECTED else None
        return next((who for who in speakers if truth(claims[who], known) == (not known[who])), None)


def _before(known: Roles, person: int) -> dict[int, bool]:
    """The roles that were known when ``person`` was not."""
    placed = list(known)
    return {other: known[other] for other in placed[: placed.index(person)]}


def solution(thinker: Thinker, names: Sequence[str], claims: Sequence[Claim], said: Sequence[str]) -> tuple[str, str]:
    """Reasoning about people in the order in which they were met, up to the conclusion; the conclusion's lines."""
    thoughts, roles = thinker.think(claims, range(len(names)))
    sentences = "".join(part for thought in thoughts for part in spoken(thought, names, said))
    return f"{sentences}Therefore, ", "\n".join(conclusions(names, [roles[person] for person in range(len(names))]))
