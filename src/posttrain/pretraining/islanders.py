"""Puzzles of knights and knaves as UFT's released data asks them, with reasoning in other words and without insight.

Everybody's claim is quoted as it was made; whether it is found to contradict anything is drawn by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from posttrain.tasks.knights_and_knaves import random_claim
from posttrain.tasks.knights_forms import conclusions, listed, role_word, sentence
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
FITTING = (
    "Say {name} is a {role}: it fits {said} that {claim}.\n",
    "Suppose that {name} is a {role}. This agrees with {said} that {claim}.\n",
    "If {name} is a {role}, {said} that {claim} holds together.\n",
    "Let {name} be a {role}. Nothing speaks against {said} that {claim}.\n",
    "{name} may be a {role}; there is no conflict with {said} that {claim}.\n",
)
CLASHING = (
    "A {role} called {name} does not go with the {said} of {speaker} that {claim}.\n",
    "{name} is not a {role}, since that is at odds with the {said} of {speaker} that {claim}.\n",
    "It is impossible that {name} is a {role}: it goes against the {said} of {speaker} that {claim}.\n",
    "That {name} is a {role} would be refuted by the {said} of {speaker} that {claim}.\n",
)
GOING_BACK = (
    "There is no way on for {stuck}, back to {name}.\n",
    "Nothing is left for {stuck}, so we return to {name}.\n",
    "Both roles of {stuck} are ruled out; another look at {name}.\n",
)
CONCLUDING = ("In short, ", "So ", "Altogether, ", "Hence ", "The answer: ")
OWN_STATEMENTS = (
    ("their claim", "the lie"),
    ("their claim", "their false claim"),
    ("what they said,", "the untruth"),
    ("the claim", "the untrue claim"),
)
STATEMENTS = (("claim", "lie"), ("claim", "false claim"), ("statement", "untrue statement"), ("words", "false words"))
REJECTED = 0.35
"""How often a role is said to be impossible."""
RECONSIDERED = 0.5
"""How often the other role is then said to be impossible as well, if there is somebody to go back to."""


@dataclass(frozen=True)
class Puzzle:
    """Who was met and what they said, in words."""

    names: tuple[str, ...]
    claims: tuple[str, ...]

    def question(self, quotes: Random) -> str:
        """The story without its beginning; ``quotes`` varies how people are quoted."""
        said = (quotes.choice(UTTERANCES).format(name=n, claim=c) for n, c in zip(self.names, self.claims))
        people = f"You meet {len(self.names)} inhabitants: {listed(self.names)}. "
        return f"{people}{' '.join(said)} So who is a knight and who is a knave?"


def puzzle(numbers: Random, people: int) -> Puzzle:
    """Random names and claims; it may have no solution or several."""
    names = tuple(numbers.sample(NAMES, people))
    claims = (random_claim(numbers, speaker, people) for speaker in range(people))
    return Puzzle(names, tuple(sentence(claim, names) for claim in claims))


def full_prompt(question: str) -> str:
    """The question as the released data asks it."""
    return reasoning_prompt(ISLAND + question, "(1) Zoey is a knight\n(2) Oliver is a knight\n(3)...")


@dataclass(frozen=True)
class Wording:
    """How one writer puts it; ``{claim}`` is quoted from the puzzle.

    Args:
        fits: a role that is found to be possible.
        clashes: a role that is said to be impossible because of a speaker's claim.
        back: nothing is left for somebody, and an earlier role is taken back.
        so: before the conclusion.
        claim, lie: what somebody's statement is called, by whether the speaker is taken for a knight.
    """

    fits: str = "Say {name} is a {role}: it fits {said} that {claim}.\n"
    clashes: str = "A {role} called {name} does not go with the {said} of {speaker} that {claim}.\n"
    back: str = "There is no way on for {stuck}, back to {name}.\n"
    so: str = "In short, "
    claim: tuple[str, str] = ("their claim", "the lie")
    lie: tuple[str, str] = ("claim", "lie")


def drawn_wording(numbers: Random) -> Wording:
    """A writer's habits."""
    return Wording(
        fits=numbers.choice(FITTING),
        clashes=numbers.choice(CLASHING),
        back=numbers.choice(GOING_BACK),
        so=numbers.choice(CONCLUDING),
        claim=numbers.choice(OWN_STATEMENTS),
        lie=numbers.choice(STATEMENTS),
    )


def reasoning(numbers: Random, met: Puzzle, order: Sequence[int], wording: Wording = Wording()) -> tuple[str, str]:
    """Assumptions and exclusions, and a conclusion that agrees with them; at most one assumption is taken back.

    Args:
        numbers: chance.
        met: the puzzle.
        order: in which its people are considered.
        wording: the writer's.
    """
    roles: dict[int, bool] = {}
    to_place = list(order)
    text, went_back = "", False
    while to_place:
        person = to_place[0]
        possible = numbers.random() >= REJECTED
        text += "" if possible else excluded(numbers, met, roles, person, True, wording)
        knights = [other for other, role in roles.items() if role]
        if not possible and knights and not went_back and numbers.random() < RECONSIDERED:
            text += excluded(numbers, met, roles, person, False, wording)
            person, went_back = knights[-1], True
            text += wording.back.format(stuck=met.names[to_place[0]], name=met.names[person])
            placed = list(roles)
            to_place = [*placed[placed.index(person) :], *to_place]
            roles = {other: roles[other] for other in placed[: placed.index(person)]}
        roles[person] = possible
        text += assumed(met, person, possible, wording)
        to_place = to_place[1:]
    lines = conclusions(met.names, [roles[person] for person in range(len(met.names))])
    return f"{text}{wording.so}", "\n".join(lines)


def assumed(met: Puzzle, person: int, role: bool, wording: Wording) -> str:
    """A role that is found to be possible."""
    said = wording.claim[0] if role else wording.claim[1]
    return wording.fits.format(name=met.names[person], role=role_word(role), said=said, claim=met.claims[person])


def excluded(numbers: Random, met: Puzzle, roles: dict[int, bool], person: int, role: bool, wording: Wording) -> str:
    """A role that is said to be impossible because of somebody's claim."""
    speaker = numbers.choice([person, *roles])
    said = wording.lie[0] if {**roles, person: role}[speaker] else wording.lie[1]
    return wording.clashes.format(
        name=met.names[person], role=role_word(role), said=said, speaker=met.names[speaker], claim=met.claims[speaker]
    )
