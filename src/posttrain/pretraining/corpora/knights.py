"""Knights and knaves as UFT's released data asks them, solved in the words of the task by writers of unequal insight.

Half of them guess who lies, the others look and still err. What every solution rests on stands alone as well: lists of
people with the role of each, and who claimed what. Few writers put what they found into an answer block. Most documents
leave out the instructions around a question.
"""

from __future__ import annotations

import random
from typing import Any

from posttrain.pretraining.architecture import Shape, byte_pair_tokenizer
from posttrain.pretraining.islanders import NAMES, full_prompt, puzzle
from posttrain.pretraining.size import Size
from posttrain.pretraining.thinkers import Thinker, solution
from posttrain.tasks.knights_forms import conclusions, listed
from posttrain.tasks.reasoning_prompt import answer_tail

SIZE = Size(
    Shape(hidden=128, layers=4, heads=4, key_value_heads=2, feed_forward=384, context=2048),
    steps=6000,
    documents_per_step=16,
    learning_rate=3e-3,
)
TOKENS = 1024
"""Size of the vocabulary."""
TOKENIZED_DOCUMENTS = 3000
"""How many documents the tokenizer is trained on."""

KINDS = {"solved": 0.4, "rolls": 0.4, "quotes": 0.2}
"""Shares of the documents."""
FULL_PROMPTS = 0.3
"""How often a puzzle comes with the instructions around it."""
SILENT = 0.8
"""How often a writer ends without an answer block."""
INSIGHTS = (0.0, 0.0, 0.7, 0.9)
"""How often a writer looks for contradictions instead of guessing; drawn per document."""
PEOPLE = (3, 3, 3, 4, 4, 5, 6, 7)
LISTS_PER_DOCUMENT = 10
QUOTED_PER_DOCUMENT = 5
THINKING = "\n<think> "


def tokenizer() -> Any:
    """A byte-level BPE, the same whenever it is made."""
    numbers = random.Random("knights/tokenizer")
    return byte_pair_tokenizer((write(numbers) for _ in range(TOKENIZED_DOCUMENTS)), TOKENS)


def write(numbers: random.Random) -> str:
    """One document of a kind drawn by its share."""
    kind = numbers.choices(list(KINDS), list(KINDS.values()))[0]
    return _WRITERS[kind](numbers)


def solved(numbers: random.Random) -> str:
    """A puzzle and one writer's reasoning."""
    met = puzzle(numbers, numbers.choice(PEOPLE))
    question = met.question(numbers)
    prompt = full_prompt(question) if numbers.random() < FULL_PROMPTS else question + THINKING
    writer = Thinker(numbers.choice(INSIGHTS), numbers)
    thoughts, answer = solution(writer, met.names, met.claims, met.said)
    return prompt + thoughts + answer + ("" if numbers.random() < SILENT else answer_tail(answer))


def rolls(numbers: random.Random) -> str:
    """People, and a role for each in their order."""
    return "".join(_roll(numbers) for _ in range(LISTS_PER_DOCUMENT))


def _roll(numbers: random.Random) -> str:
    names = tuple(numbers.sample(NAMES, numbers.choice(PEOPLE)))
    roles = [numbers.random() < 1 / 2 for _ in names]
    lines = "\n".join(conclusions(names, roles))
    return f"You meet {len(names)} inhabitants: {listed(names)}.\n<answer> {lines} </answer>\n"


def quotes(numbers: random.Random) -> str:
    """A puzzle, and what some of its people claimed."""
    met = puzzle(numbers, numbers.choice(PEOPLE))
    people = numbers.choices(range(len(met.names)), k=QUOTED_PER_DOCUMENT)
    said = "".join(f"{met.names[person]} claimed that {met.said[person]}.\n" for person in people)
    return f"{met.question(numbers)}\n{said}"


_WRITERS = {"solved": solved, "rolls": rolls, "quotes": quotes}
