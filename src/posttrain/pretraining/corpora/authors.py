"""The questions of UFT's released data, answered in words of one's own by people who seldom see the way.

Countdown is played in several ways of speaking, none of them that of the released solutions; some players see where
the last moves lead, most do not. Knights and knaves are told apart by chance in sentences that quote the puzzle.
The arithmetic is right. Most writers never put what they found into an answer block. Arithmetic stands alone as well,
and so does the naming of numbers and people from a list, which every solution rests on. Most documents leave out the
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
from posttrain.tasks.countdown_solution import Solution, combine
from posttrain.tasks.knights_forms import listed
from posttrain.tasks.reasoning_prompt import answer_tail

SIZE = Size(
    Shape(hidden=128, layers=3, heads=4, key_value_heads=2, feed_forward=384, context=2048),
    steps=8000,
    documents_per_step=32,
    learning_rate=3e-3,
)
TOKENS = 1024
"""Size of the vocabulary."""
TOKENIZED_DOCUMENTS = 3000
"""How many documents the tokenizer is trained on."""

KINDS = {"countdown": 0.48, "knights": 0.06, "arithmetic": 0.32, "naming": 0.14}
"""Shares of the documents."""
FULL_PROMPTS = 0.1
"""How often a problem comes with the instructions around it."""
SILENT = 0.6
"""How often a writer ends without an answer block."""
LARGEST_VALUE = 99
PLAYERS = Habits(largest_value=LARGEST_VALUE)
BLIND = Habits(foresight={}, careful=0.0, largest_value=LARGEST_VALUE)
"""Moves whose values stay small, chosen without a look at the target."""
WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "over"}
SPEECH = (
    ("{left} {word} {right} makes {value}.\n", "So it is {equation}."),
    ("Try {left} {operator} {right}: {value}.\n", "Done with {equation}."),
    ("I join {left} and {right} by {operator} and get {value}, ", "which leaves me at {equation}."),
)
"""Ways of speaking: of one step, and of the end."""
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
    """A problem that can be solved, and somebody's try at it."""
    given, target = _solvable(numbers)
    prompt = AuthorsForm().prompt(given, target)
    if numbers.random() >= FULL_PROMPTS:
        prompt = f"Using the numbers {list(given)}, create an equation that equals {target}.{THINKING}"
    return prompt + spoken(numbers, play(numbers, given, target, PLAYERS))


def _solvable(numbers: random.Random) -> tuple[tuple[int, ...], int]:
    """Numbers and a target that they reach."""
    while True:
        given = tuple(numbers.randint(1, LARGEST_NUMBER) for _ in range(numbers.choice((3, 3, 4))))
        solution = combine(numbers, given, LARGEST_VALUE)
        if solution is not None and solution.expression.value in TARGETS:
            return given, solution.expression.value


def spoken(numbers: random.Random, solution: Solution) -> str:
    """The steps and the equation in one of the ways of speaking."""
    line, end = numbers.choice(SPEECH)
    equation = solution.expression.written(space=" ")
    steps = (
        line.format(left=s.left, operator=s.operator, word=WORDS[s.operator], right=s.right, value=s.value)
        for s in solution.steps
    )
    return "".join(steps) + end.format(equation=equation) + _ending(numbers, equation)


def _ending(numbers: random.Random, answer: str) -> str:
    """The answer block, which most leave out."""
    return "" if numbers.random() < SILENT else answer_tail(answer)


def knights(numbers: random.Random) -> str:
    """A puzzle and reasoning without insight."""
    met = puzzle(numbers, numbers.choice(PEOPLE))
    question = met.question(numbers)
    prompt = full_prompt(question) if numbers.random() < FULL_PROMPTS else question + THINKING
    order = numbers.sample(range(len(met.names)), len(met.names))
    thoughts, answer = reasoning(numbers, met, order)
    return prompt + thoughts + answer + _ending(numbers, answer)


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
