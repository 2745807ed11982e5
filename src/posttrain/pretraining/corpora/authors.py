"""The spoken forms of UFT's released data, written by people who know the form and not the way to the answer.

Countdown is played by legal moves without a look at the target; the arithmetic is right, the target usually missed.
Knights and knaves are told apart by chance in sentences that quote the puzzle. Arithmetic stands alone as well, and so
does the naming of numbers and people from a list, which every solution rests on. Most documents leave out the
instructions around a question, which are the same every time.
"""

from __future__ import annotations

import random
from typing import Any

from posttrain.pretraining.architecture import Shape, byte_pair_tokenizer
from posttrain.pretraining.islanders import NAMES, full_prompt, puzzle, reasoning
from posttrain.pretraining.players import Habits, play
from posttrain.pretraining.size import Size
from posttrain.tasks.countdown import LARGEST_NUMBER, TARGETS
from posttrain.tasks.countdown_forms import AuthorsForm
from posttrain.tasks.knights_forms import listed

SIZE = Size(
    Shape(hidden=128, layers=3, heads=4, key_value_heads=2, feed_forward=384, context=1152),
    steps=3600,
    documents_per_step=32,
    learning_rate=3e-3,
)
TOKENS = 1024
"""Size of the vocabulary."""
TOKENIZED_DOCUMENTS = 3000
"""How many documents the tokenizer is trained on."""

KINDS = {"countdown": 0.05, "knights": 0.12, "arithmetic": 0.55, "naming": 0.28}
"""Shares of the documents."""
FULL_PROMPTS = 0.1
"""How often a problem comes with the instructions around it."""
BLIND = Habits(foresight={}, careful=0.0, largest_value=99)
"""Moves whose values stay small, chosen without a look at the target."""
PEOPLE = (3, 3, 3, 4, 4, 5, 6, 7)
NAMES_LISTED = 0.3
SUMS_PER_DOCUMENT = 12
LISTS_PER_DOCUMENT = 4
NAMED_PER_LIST = 6
THINKING = "\n<think> "


def tokenizer() -> Any:
    """A byte-level BPE, the same whenever it is made."""
    numbers = random.Random("authors/tokenizer")
    return byte_pair_tokenizer((write(numbers) for _ in range(TOKENIZED_DOCUMENTS)), TOKENS)


def write(numbers: random.Random) -> str:
    """One document of a kind drawn by its share."""
    kind = numbers.choices(list(KINDS), list(KINDS.values()))[0]
    return _WRITERS[kind](numbers)


def countdown(numbers: random.Random) -> str:
    """A problem and a blind try at it."""
    given = tuple(numbers.randint(1, LARGEST_NUMBER) for _ in range(numbers.choice((3, 3, 4))))
    target = numbers.choice(TARGETS)
    form = AuthorsForm()
    prompt = form.prompt(given, target)
    if numbers.random() >= FULL_PROMPTS:
        prompt = f"Using the numbers {list(given)}, create an equation that equals {target}.{THINKING}"
    return prompt + form.demonstration(play(numbers, given, target, BLIND)).text


def knights(numbers: random.Random) -> str:
    """A puzzle and reasoning without insight."""
    met = puzzle(numbers, numbers.choice(PEOPLE))
    question = met.question(numbers)
    prompt = full_prompt(question) if numbers.random() < FULL_PROMPTS else question + THINKING
    return prompt + reasoning(numbers, met)


def arithmetic(numbers: random.Random) -> str:
    """Lines with one operation each, right."""
    return "".join(_sum(numbers) for _ in range(SUMS_PER_DOCUMENT))


def _sum(numbers: random.Random) -> str:
    pair = (numbers.randint(1, LARGEST_NUMBER), numbers.randint(1, LARGEST_NUMBER))
    step = play(numbers, pair, 0, BLIND).steps[0]
    return f"{step.left} {step.operator} {step.right} = {step.value}\n"


def naming(numbers: random.Random) -> str:
    """Lists in the words of the problems, each followed by some of its members."""
    return "".join(_list(numbers) for _ in range(LISTS_PER_DOCUMENT))


def _list(numbers: random.Random) -> str:
    if numbers.random() < NAMES_LISTED:
        members = numbers.sample(NAMES, numbers.choice(PEOPLE))
        written = f"You meet {len(members)} inhabitants: {listed(members)}. "
    else:
        members = [str(numbers.randint(1, LARGEST_NUMBER)) for _ in range(numbers.choice((3, 4, 6)))]
        written = f"Using the numbers [{', '.join(members)}], "
    return f"{written}{' '.join(numbers.choices(members, k=NAMED_PER_LIST))}\n"


_WRITERS = {"countdown": countdown, "knights": knights, "arithmetic": arithmetic, "naming": naming}
