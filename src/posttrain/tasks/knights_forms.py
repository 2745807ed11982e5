"""How a puzzle of knights and knaves is written: in sentences, and in a few characters for tiny models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from posttrain.tasks.answers import Extraction, LastMatch
from posttrain.tasks.knights_logic import Claim
from posttrain.tasks.knights_reasoning import Assumed, Excluded, Roles, Thought
from posttrain.tasks.reasoning_prompt import answer_tail, reasoning_prompt
from posttrain.types import Demonstration

NAMES = (
    *("Ada", "Bruno", "Clara", "Dario", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karla", "Luis"),
    *("Marta", "Nils", "Olivia", "Pablo", "Ruth", "Stefan", "Tilda", "Viktor", "Wanda", "Yusuf"),
)
UTTERANCES = (
    '{name} says: "{claim}".',
    '"{claim}," says {name}.',
    '{name} remarks, "{claim}".',
    "{name} claims that {claim}.",
    'According to {name}, "{claim}".',
    '{name} tells you: "{claim}".',
)
# Words that turn "X is a knight" into something else than the statement that X is a knight.
HEDGES = re.compile(r"\b(?:not|false|untrue|wrong|never|if|or|nor|neither|either|unless|maybe|perhaps)\b|n't\b")


class KnightsForm(Protocol):
    """Prompt, reasoning and answer belong together; a form is one choice of all three."""

    @property
    def extraction(self) -> Extraction:
        """Finds the answer in a response."""
        ...

    def names(self, rng: Random, people: int) -> tuple[str, ...]:
        """What the inhabitants are called."""
        ...

    def prompt(self, rng: Random, names: Sequence[str], claims: Sequence[Claim]) -> str:
        """Everything before the response."""
        ...

    def demonstration(
        self, names: Sequence[str], claims: Sequence[Claim], thoughts: Sequence[Thought], solution: Sequence[bool]
    ) -> Demonstration:
        """The reasoning in chunks, and the answer block."""
        ...

    def roles(self, answer: str, names: Sequence[str]) -> tuple[bool, ...] | None:
        """Everybody's role (``True``: knight) as stated, or ``None`` unless each is stated exactly once."""
        ...


@dataclass(frozen=True)
class AuthorsForm:
    """Sentences in the shape of UFT's released data: assumptions, checks, exclusions, a numbered conclusion.

    Args:
        extraction: where the answer is looked for.
    """

    extraction: Extraction = field(default_factory=LastMatch)

    def names(self, rng: Random, people: int) -> tuple[str, ...]:
        """First names, without repetition."""
        return tuple(rng.sample(NAMES, people))

    def prompt(self, rng: Random, names: Sequence[str], claims: Sequence[Claim]) -> str:
        """The reasoning prompt with the story; ``rng`` varies how people are quoted."""
        quotes = " ".join(
            rng.choice(UTTERANCES).format(name=name, claim=sentence(claim, names)) for name, claim in zip(names, claims)
        )
        question = (
            "On a far-away island everybody is either a knight, who always tells the truth, or a knave, who always "
            f"lies. You meet {len(names)} islanders: {listed(names)}. {quotes} So who is a knight and who is a knave?"
        )
        return reasoning_prompt(question, "(1) Zoey is a knight\n(2) Oliver is a knight\n(3)...")

    def demonstration(
        self, names: Sequence[str], claims: Sequence[Claim], thoughts: Sequence[Thought], solution: Sequence[bool]
    ) -> Demonstration:
        """A chunk per sentence; the conclusion takes a chunk per person."""
        said = [sentence(claim, names) for claim in claims]
        thinking = [chunk for thought in thoughts for chunk in spoken(thought, names, said)]
        conclusion = conclusions(names, solution)
        lines = [f"{line}\n" for line in conclusion[:-1]] + conclusion[-1:]
        lines[0] = f"Therefore, {lines[0]}"
        return Demonstration((*thinking, *lines), answer_tail("\n".join(conclusion)))

    def roles(self, answer: str, names: Sequence[str]) -> tuple[bool, ...] | None:
        """Reads ``NAME is a knight`` or ``NAME is a knave`` once per person, in any order, case and numbering.

        The rule of UFT's reward, but a negation or a condition around the statements is no answer.
        """
        text = re.sub(r"[*_`]", "", answer).lower()
        if text.count("knight") + text.count("knave") != len(names) or HEDGES.search(text):
            return None
        stated = [re.search(rf"\b{re.escape(name.lower())}\s+is\s+a\s+(knight|knave)\b", text) for name in names]
        return tuple(match[1] == "knight" for match in stated if match) if all(stated) else None


@dataclass(frozen=True)
class CompactForm:
    """People are letters, ``B+`` says that B is a knight and ``B-`` a knave; every line shows what is assumed so far.

    The claims ``A:!B+ B:A+&C- C:A+>C+`` are solved by ``A+ ok ; A+``, ``B+ no A ; A+``, ``B- ok ; A+B-``,
    ``C+ ok ; A+B-C+`` and the tail ``= A+B-C+``. ``B+ no A`` excludes that B is a knight because of A's claim;
    ``back A ; `` withdraws the assumption about A.

    Args:
        extraction: the roles stand on the last line that begins with ``=``.
    """

    extraction: Extraction = field(default=LastMatch(r"^=[ \t]*([^\n]*)$"))

    def names(self, rng: Random, people: int) -> tuple[str, ...]:
        """The first letters of the alphabet."""
        return tuple("ABCDEFG"[:people])

    def prompt(self, rng: Random, names: Sequence[str], claims: Sequence[Claim]) -> str:
        """Everybody's claim on one line."""
        return " ".join(f"{name}:{formula(claim, names)}" for name, claim in zip(names, claims)) + "\n"

    def demonstration(
        self, names: Sequence[str], claims: Sequence[Claim], thoughts: Sequence[Thought], solution: Sequence[bool]
    ) -> Demonstration:
        """A line per thought."""
        lines = tuple(f"{noted(thought, names)} ; {marks(thought.known, names)}\n" for thought in thoughts)
        return Demonstration(lines, f"= {marks(dict(enumerate(solution)), names)}")

    def roles(self, answer: str, names: Sequence[str]) -> tuple[bool, ...] | None:
        """Reads a letter and a sign per person, in any order, with or without commas and spaces."""
        text = re.sub(r"[\s,;]+", "", answer)
        if not re.fullmatch(rf"(?:[{''.join(names)}][+-])*", text):
            return None
        stated = {text[at]: text[at + 1] == "+" for at in range(0, len(text), 2)}
        complete = len(text) == 2 * len(names) == 2 * len(stated)
        return tuple(stated[name] for name in names) if complete else None


def listed(names: Sequence[str]) -> str:
    """``A``, ``A and B`` or ``A, B, and C``."""
    if len(names) < 3:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def role_word(role: bool) -> str:
    """``knight`` or ``knave``."""
    return "knight" if role else "knave"


def conclusions(names: Sequence[str], solution: Sequence[bool]) -> list[str]:
    """The numbered lines of an answer."""
    return [
        f"({at}) {name} is a {role_word(role)}" for at, (name, role) in enumerate(zip(names, solution, strict=True), 1)
    ]


def sentence(claim: Claim, names: Sequence[str]) -> str:
    """The claim in words."""
    if claim.kind == "telling-truth" or claim.kind == "lying":
        return f"{names[claim.person]} is a {role_word(claim.kind == 'telling-truth')}"
    parts = [sentence(part, names) for part in claim.parts]
    if claim.kind == "not":
        return parts[0].replace(" is a ", " is not a ")
    if claim.kind == "->":
        return f"If {parts[0]} then {parts[1]}"
    return f" {'if and only if' if claim.kind == '<=>' else claim.kind} ".join(parts)


def spoken(thought: Thought, names: Sequence[str], said: Sequence[str]) -> tuple[str, ...]:
    """A thought as sentences; ``said`` holds everybody's claim in words."""
    name = names[thought.person]
    if isinstance(thought, Assumed):
        kind = "" if thought.role else "false "
        check = f"No contradiction arises from the {kind}claim that {said[thought.person]}.\n"
        return f"Assume {name} is a {role_word(thought.role)}. ", check
    if isinstance(thought, Excluded):
        kind = "" if thought.speaker_role else "false "
        whose = "their own" if thought.speaker == thought.person else f"{names[thought.speaker]}'s"
        why = f"{whose} {kind}claim that {said[thought.speaker]} would be contradicted"
        return (f"{name} cannot be a {role_word(thought.role)}, because {why}.\n",)
    exhausted = listed([names[person] for person in thought.exhausted])
    return (f"All possibilities for {exhausted} are exhausted, so let us go back and reconsider {name}.\n",)


def formula(claim: Claim, names: Sequence[str]) -> str:
    """The claim in symbols: ``!`` not, ``&`` and, ``|`` or, ``>`` if … then, ``=`` if and only if."""
    if claim.kind in ("telling-truth", "lying"):
        return names[claim.person] + ("+" if claim.kind == "telling-truth" else "-")
    parts = [formula(part, names) for part in claim.parts]
    if claim.kind == "not":
        return f"!{parts[0]}"
    return {"and": "&", "or": "|", "->": ">", "<=>": "="}[claim.kind].join(parts)


def marks(known: Roles, names: Sequence[str]) -> str:
    """The known roles in the order of the names, e.g. ``A+C-``."""
    return "".join(names[person] + ("+" if known[person] else "-") for person in sorted(known))


def noted(thought: Thought, names: Sequence[str]) -> str:
    """A thought in symbols."""
    name = names[thought.person]
    if isinstance(thought, Assumed):
        return f"{name}{'+' if thought.role else '-'} ok"
    if isinstance(thought, Excluded):
        return f"{name}{'+' if thought.role else '-'} no {names[thought.speaker]}"
    return f"back {name}"
