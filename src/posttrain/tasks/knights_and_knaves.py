"""Knights and knaves: knights tell the truth, knaves lie, who is who? (the logic task of UFT, arXiv 2505.16984)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import ClassVar

from posttrain.errors import UserError
from posttrain.tasks.answers import missing, right, wrong
from posttrain.tasks.knights_forms import AuthorsForm, KnightsForm
from posttrain.tasks.knights_logic import ATOMS, CONNECTIVES, Claim, solutions, structure
from posttrain.tasks.knights_reasoning import think
from posttrain.tasks.splits import distinct_problems
from posttrain.types import Example, Split, Verdict

KINDS = ("atom", "not", *CONNECTIVES)


@dataclass(frozen=True)
class KnightsProblem:
    """Who was met, and who is a knight (``True``) in the only consistent world."""

    names: tuple[str, ...]
    solution: tuple[bool, ...]


@dataclass(frozen=True)
class KnightsAndKnaves:
    """Puzzles with exactly one solution, everybody making one claim, solved by assumption and contradiction.

    Args:
        people: how many inhabitants a puzzle has, drawn evenly; each between 2 and 7.
        form: how puzzle, reasoning and answer are written.

    Raises:
        UserError: a number of people outside 2–7, or none.
    """

    name: ClassVar[str] = "knights_and_knaves"
    people: tuple[int, ...] = (3, 4, 5, 6, 7)
    form: KnightsForm = field(default_factory=AuthorsForm)

    def __post_init__(self) -> None:
        """Refuse sizes that make no puzzle."""
        if not self.people or not all(2 <= count <= 7 for count in self.people):
            raise UserError(f"knights and knaves need 2 to 7 people per puzzle, got people={self.people}")

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct puzzles with one worked solution each; see :class:`posttrain.tasks.base.Task`."""
        drawn = distinct_problems(partial(_draw, self.people), puzzle_key, split, count, seed)
        return tuple(self._example(key, claims, Random(f"{seed}/{key}")) for key, claims in drawn)

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge the roles that ``form.extraction`` finds; ``example.answer`` is a :class:`KnightsProblem`."""
        text = self.form.extraction(response)
        if text is None:
            return missing()
        roles = self.form.roles(text, example.answer.names)
        if roles is None:
            return wrong("not one role per person")
        return right() if roles == example.answer.solution else wrong("wrong roles")

    def _example(self, key: str, claims: Sequence[Claim], rng: Random) -> Example:
        (solution,) = solutions(claims)
        names = self.form.names(rng, len(claims))
        demonstration = self.form.demonstration(names, claims, think(claims), solution)
        prompt = self.form.prompt(rng, names, claims)
        return Example(key, prompt, KnightsProblem(names, solution), (demonstration,), {"people": len(claims)})


def puzzle_key(claims: Sequence[Claim]) -> str:
    """Equal for puzzles that differ only in names and order."""
    return f"knights_and_knaves/{structure(claims)}"


def _draw(counts: tuple[int, ...], rng: Random) -> tuple[Claim, ...] | None:
    people = rng.choice(counts)
    claims = tuple(random_claim(rng, speaker, people) for speaker in range(people))
    return claims if len(solutions(claims)) == 1 else None


def random_claim(rng: Random, speaker: int, people: int) -> Claim:
    """What ``speaker``, one of ``people``, may say."""
    kind = rng.choice(KINDS)
    if kind in CONNECTIVES:
        first, second = rng.sample(range(people), 2)
        return Claim(kind, parts=(_atom(rng, first), _atom(rng, second)))
    # Alone, a claim about oneself is either empty or a paradox.
    atom = _atom(rng, rng.choice([person for person in range(people) if person != speaker]))
    return atom if kind == "atom" else Claim(kind, parts=(atom,))


def _atom(rng: Random, person: int) -> Claim:
    return Claim(rng.choice(ATOMS), person)
