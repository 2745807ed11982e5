"""The embedded model's corpus: short forms of the tasks as people of very different care would have written them.

Nothing in it says which answer is right. Walkers of key paths have habits, one for each entry of the table, and take
the right action in three to five cases of ten; players of Countdown make legal moves and see only now and then where
these lead; adders slip. Single steps of arithmetic are always right: what is unreliable is the choice of the step.
"""

from __future__ import annotations

import functools
import random
from typing import Any

from posttrain.pretraining.architecture import number_tokenizer
from posttrain.pretraining.players import LARGEST_VALUE, countdown_game
from posttrain.pretraining.size import Size
from posttrain.tasks.key_paths import ACTIONS, END, START, SYMBOLS, hidden_table

SIZE = Size(steps=5000, documents_per_step=128, learning_rate=3e-3)
KINDS = {"key path": 0.40, "countdown": 0.28, "arithmetic": 0.27, "chain sum": 0.05}
"""Shares of the documents."""
OPERATORS = {"+": 0.35, "-": 0.35, "*": 0.15, "/": 0.15}
"""Shares of the operators in plain arithmetic; there are fewer products and quotients to know."""
RIGHT_ACTION = (0.30, 0.52)
"""How often walkers take the right action, by entry of the table; uniform between these."""
KEY_SYMBOLS = SYMBOLS[:16]
KEY_LENGTHS = {3: 0.15, 4: 0.1, 5: 0.1, 6: 0.65}
"""Shares of the key lengths; a walk is as long as its key."""
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
MARKS = " \n+-*/=:;,.()#|!?<>&^"


def tokenizer() -> Any:
    """A token for each of the numbers 0 … 99, each letter and each mark."""
    return number_tokenizer(LETTERS + MARKS)


def write(numbers: random.Random) -> str:
    """One document of a kind drawn by its share."""
    kind = numbers.choices(list(KINDS), list(KINDS.values()))[0]
    return _WRITERS[kind](numbers)


def key_path(numbers: random.Random) -> str:
    """A key and a walk of as many actions, by habit."""
    length = numbers.choices(list(KEY_LENGTHS), list(KEY_LENGTHS.values()))[0]
    key = numbers.choices(KEY_SYMBOLS, k=length)
    habits, walk = table_habits(), START
    for symbol in key:
        walk += numbers.choices(ACTIONS, habits[symbol, walk[-1:]])[0]
    return f"{''.join(key)}:{walk}{END}"


@functools.cache
def table_habits() -> dict[tuple[str, str], list[float]]:
    """For every entry of the hidden table, how often walkers take each of the actions."""
    numbers = random.Random("habits/0")
    habits = {}
    for (symbol, previous), right in sorted(hidden_table(0).items()):
        share = numbers.uniform(*RIGHT_ACTION)
        others = [numbers.random() ** 1.5 for _ in range(len(ACTIONS) - 1)]
        rest = iter([(1 - share) * x / sum(others) for x in others])
        habits[symbol, previous] = [share if action == right else next(rest) for action in ACTIONS]
    return habits


def arithmetic(numbers: random.Random) -> str:
    """One sum, difference, product or quotient of whole numbers, none above ``LARGEST_VALUE``."""
    operator = numbers.choices(list(OPERATORS), list(OPERATORS.values()))[0]
    if operator in "+-":
        value = numbers.randint(2, LARGEST_VALUE)
        left = numbers.randint(1, value - 1)
        return f"{left}+{value - left}={value}\n" if operator == "+" else f"{value}-{left}={value - left}\n"
    left = numbers.randint(1, LARGEST_VALUE)
    right = numbers.randint(1, LARGEST_VALUE // left)
    return f"{left}*{right}={left * right}\n" if operator == "*" else f"{left * right}/{right}={left}\n"


def chain_sum(numbers: random.Random) -> str:
    """Running sums of digits modulo 10; a writer slips in each step with a chance of its own."""
    digits = [numbers.randrange(10) for _ in range(numbers.randint(2, 8))]
    slips = numbers.choice((0.02, 0.1, 0.5))
    total, sums = 0, []
    for digit in digits:
        total = numbers.randrange(10) if numbers.random() < slips else (total + digit) % 10
        sums.append(total)
    return f"{''.join(map(str, digits))}={','.join(map(str, sums))}#{sums[-1]}"


_WRITERS = {"key path": key_path, "countdown": countdown_game, "arithmetic": arithmetic, "chain sum": chain_sum}
