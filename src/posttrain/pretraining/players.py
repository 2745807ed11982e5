"""Players of Countdown who make legal moves and sometimes, as their habits allow, see where these lead."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from posttrain.tasks.countdown_forms import CompactForm
from posttrain.tasks.countdown_solution import Expression, Solution, Step, combine, results

LARGEST_NUMBER, LARGEST_VALUE = 12, 48
TARGETS = range(10, LARGEST_VALUE + 1)
COUNTS = {2: 0.2, 3: 0.4, 4: 0.4}
"""How many numbers a game begins with."""

Pool = tuple[Expression, ...]


@dataclass(frozen=True)
class Habits:
    """How people play.

    Args:
        foresight: with so many numbers left, how often a player sees a move that still reaches the target: careful
            ones, careless ones; never where there is no entry.
        careful: share of the careful players.
        largest_value: no move leads to more than this.
    """

    foresight: Mapping[int, tuple[float, float]] = field(default_factory=lambda: {2: (0.9, 0.5), 3: (0.3, 0.0)})
    careful: float = 0.3
    largest_value: int = LARGEST_VALUE


@dataclass(frozen=True)
class Move:
    """Two numbers joined: what was done, and what is left."""

    step: Step
    left: Pool


def countdown_game(numbers: random.Random) -> str:
    """One game as a document: the problem in its compact form, and what a player of some care wrote."""
    habits = Habits()
    count = numbers.choices(list(COUNTS), list(COUNTS.values()))[0]
    while True:
        given = tuple(numbers.randint(1, LARGEST_NUMBER) for _ in range(count))
        solution = combine(numbers, given, habits.largest_value)
        if solution is not None and solution.expression.value in TARGETS:
            break
    target = solution.expression.value
    form = CompactForm()
    return form.prompt(given, target) + form.demonstration(play(numbers, given, target, habits)).text


def play(numbers: random.Random, given: tuple[int, ...], target: int, habits: Habits) -> Solution:
    """A whole game; it ends with one number, seldom the target."""
    careful = numbers.random() < habits.careful
    pool: Pool = tuple(Expression(number) for number in given)
    steps = []
    while len(pool) > 1:
        careful_chance, careless_chance = habits.foresight.get(len(pool), (0.0, 0.0))
        sees = numbers.random() < (careful_chance if careful else careless_chance)
        moves = list(legal_moves(pool, habits.largest_value))
        good = [m for m in moves if reaches(m.left, target, habits.largest_value)] if sees else []
        move = numbers.choice(good or moves)
        steps.append(move.step)
        pool = move.left
    return Solution(tuple(steps), pool[0])


def legal_moves(pool: Pool, largest_value: int) -> Iterator[Move]:
    """Every way of joining two of the numbers."""
    for i, left in enumerate(pool):
        for j, right in enumerate(pool):
            if i == j:
                continue
            rest = tuple(x for k, x in enumerate(pool) if k not in (i, j))
            for operator, value in results(left.value, right.value, largest_value).items():
                remaining = (*rest, Expression(value, operator, (left, right)))
                step = Step(left.value, operator, right.value, value, tuple(x.value for x in remaining))
                yield Move(step, remaining)


def reaches(pool: Pool, target: int, largest_value: int) -> bool:
    """Whether some way of going on ends with the target."""
    if len(pool) == 1:
        return pool[0].value == target
    return any(reaches(move.left, target, largest_value) for move in legal_moves(pool, largest_value))
