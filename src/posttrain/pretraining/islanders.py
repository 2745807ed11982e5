"""Puzzles of knights and knaves as UFT's released data asks them, with reasoning in other words and without insight.

Everybody's claim is quoted as it was made; whether it is found to contradict anything is drawn by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from posttrain.tasks.knights_and_knaves import random_claim
from posttrain.tasks.knights_forms import conclusions, listed, role_word, sentence
from posttrain.tasks.knights_logic import Claim
from posttrain.tasks.reasoning_prompt import reasoning_prompt

NAMES = (
    *("Abigail", "Aiden", "Alexander", "Amelia", "Aria", "Aurora", "Ava", "Avery", "Benjamin", "Charlotte", "Chloe"),
    *("Daniel", "David", "Elizabeth", "Ella", "Emily", "Emma", "Ethan", "Evelyn", "Grace", "Harper", "Henry"),
    *("Isabella", "Jack", "Jackson", "Jacob", "James", "Joseph", "Liam", "Lily", "Logan", "Lucas", "Luke", "Mason"),
    *("Matthew", "Mia", "Michael", "Noah", "Oliver", "Olivia", "Owen", "Penelope", "Riley", "Samuel", "Scarlett"),
    *("Sebastian", "Sofia", "Sophia", "Victoria", "William", "Zoey"),
)
UTTERANCES = (
    *('{name} commented, "{claim}".', '"{claim}" - {name}.', '{name} was heard saying, "{claim}".'),
    *('According to {name}, "{claim}".', "{name} expressed that {claim}.", 'In a statement by {name}: "{claim}".'),
    *('{name} said, "{claim}."', '"{claim}," {name} declared.', 'In {name}\'s words: "{claim}".'),
    *("{name} said that {claim}.", "{name} told you that {claim}.", '{name} asserted: "{claim}".'),
    *('"{claim}," {name} claimed.', 'As {name} put it, "{claim}".', '{name} noted, "{claim}".'),
    *('"{claim}," {name} mentioned.', '{name} stated, "{claim}".', '{name} remarked, "{claim}".'),
)
ISLAND = (
    "A very special island is inhabited only by knights and knaves. "
    "Knights always tell the truth, and knaves always lie. "
)
REJECTED = 0.35
"""How often a role is said to be impossible."""
RECONSIDERED = 0.5
"""How often the other role is then said to be impossible as well, if there is somebody to go back to."""


@dataclass(frozen=True)
class Puzzle:
    """Who was met and what they claimed; ``said`` holds the claims in words."""

    names: tuple[str, ...]
    claims: tuple[Claim, ...]
    said: tuple[str, ...]

    def question(self, quotes: Random) -> str:
        """The story without its beginning; ``quotes`` varies how people are quoted."""
        said = (quotes.choice(UTTERANCES).format(name=n, claim=c) for n, c in zip(self.names, self.said))
        people = f"You meet {len(self.names)} inhabitants: {listed(self.names)}. "
        return f"{people}{' '.join(said)} So who is a knight and who is a knave?"


def puzzle(numbers: Random, people: int) -> Puzzle:
    """Random names and claims; it may have no solution or several."""
    names = tuple(numbers.sample(NAMES, people))
    claims = tuple(random_claim(numbers, speaker, people) for speaker in range(people))
    return Puzzle(names, claims, tuple(sentence(claim, names) for claim in claims))


def full_prompt(question: str) -> str:
    """The question as the released data asks it."""
    return reasoning_prompt(ISLAND + question, "(1) Zoey is a knight\n(2) Oliver is a knight\n(3)...")


def reasoning(numbers: Random, met: Puzzle, order: Sequence[int]) -> tuple[str, str]:
    """Assumptions and exclusions, and a conclusion that agrees with them; at most one assumption is taken back.

    Args:
        numbers: chance.
        met: the puzzle.
        order: in which its people are considered.
    """
    roles: dict[int, bool] = {}
    to_place = list(order)
    text, went_back = "", False
    while to_place:
        person = to_place[0]
        possible = numbers.random() >= REJECTED
        text += "" if possible else excluded(numbers, met, roles, person, True)
        knights = [other for other, role in roles.items() if role]
        if not possible and knights and not went_back and numbers.random() < RECONSIDERED:
            text += excluded(numbers, met, roles, person, False)
            person, went_back = knights[-1], True
            text += f"There is no way on for {met.names[to_place[0]]}, back to {met.names[person]}.\n"
            placed = list(roles)
            to_place = [*placed[placed.index(person) :], *to_place]
            roles = {other: roles[other] for other in placed[: placed.index(person)]}
        roles[person] = possible
        text += assumed(met, person, possible)
        to_place = to_place[1:]
    return f"{text}In short, ", "\n".join(conclusions(met.names, [roles[person] for person in range(len(met.names))]))


def assumed(met: Puzzle, person: int, role: bool) -> str:
    """A role that is found to be possible."""
    said = "their claim" if role else "the lie"
    return f"Say {met.names[person]} is a {role_word(role)}: it fits {said} that {met.said[person]}.\n"


def excluded(numbers: Random, met: Puzzle, roles: dict[int, bool], person: int, role: bool) -> str:
    """A role that is said to be impossible because of somebody's claim."""
    speaker = numbers.choice([person, *roles])
    said = "claim" if {**roles, person: role}[speaker] else "lie"
    whose = f"the {said} of {met.names[speaker]} that {met.said[speaker]}"
    return f"A {role_word(role)} called {met.names[person]} does not go with {whose}.\n"
