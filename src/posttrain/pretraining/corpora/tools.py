"""Conversations with tools, as people write them who do not know which tool a request means.

They call any of the tools on offer, whatever was asked for, sometimes one that is not there. What a tool's parameters
are they read in the prompt; values they copy out of the request, any of them where the right one was not mentioned, and
now and then they slip. A call that fails comes back with an error, and another follows, no wiser than the first. What
copying rests on stands alone as well: values said again in another order, and values found by their parameters.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from posttrain.pretraining import architecture
from posttrain.pretraining.architecture import Shape, byte_pair_tokenizer
from posttrain.pretraining.size import Size
from posttrain.tasks.tool_calls import FIRST, PARAMETERS, SECOND, Request, all_signatures, chunks, opening, word

SIZE = Size(Shape(layers=3, initializer_range=0.08), steps=2500, documents_per_step=32, learning_rate=3e-3)
TOKENS = 1024
"""Size of the vocabulary."""
PIECES = r" ?\p{L}+='?|" + architecture.PIECES
"""A parameter with its equals sign, and a quotation mark behind it, may be one token."""
TOKENIZED_DOCUMENTS = 3000
"""How many documents the tokenizer is trained on."""

KINDS = {"conversation": 0.5, "values": 0.25, "echo": 0.25}
"""Shares of the documents."""
OFFERED = (2, 3, 4, 4, 4, 5)
"""How many tools a prompt offers."""
MOST_CALLS = 3
"""Of one conversation."""
ABSENT = 0.1
"""How often a tool is called that is not on offer."""
SLIPPED = 0.15
"""How often one argument of a call is left out, given to another parameter, or given another value."""
VALUES_PER_DOCUMENT = 8
"""How many are found by their parameters."""
ECHOES = 3
"""In how many orders values are said."""

SIGNATURES = all_signatures(0)


def tokenizer() -> Any:
    """A byte-level BPE, the same whenever it is made."""
    numbers = random.Random("tools/tokenizer")
    return byte_pair_tokenizer((write(numbers) for _ in range(TOKENIZED_DOCUMENTS)), TOKENS, PIECES)


def write(numbers: random.Random) -> str:
    """One document of a kind drawn by its share."""
    kind = numbers.choices(list(KINDS), list(KINDS.values()))[0]
    return _WRITERS[kind](numbers)


def conversation(numbers: random.Random) -> str:
    """A request and a call, and as long as calls fail another one."""
    asked = request(numbers)
    text = "".join(said for _, said in opening(asked, SIGNATURES))
    for number in range(MOST_CALLS):
        tool, arguments = call(numbers, asked)
        text += f"{''.join(chunks(tool, arguments))})"
        error = failure(tool, arguments, asked)
        if error is None or number == MOST_CALLS - 1:
            break
        text += f"\nerror: {error}\ncall: "
    return text


def request(numbers: random.Random) -> Request:
    """Any words, any tools, and values that would do for two of them."""
    offered = tuple(sorted(numbers.sample(sorted(SIGNATURES), numbers.choice(OFFERED))))
    one, other = numbers.sample(offered, 2)
    return Request(
        (numbers.choice(FIRST), numbers.choice(SECOND)),
        _values(numbers, {*SIGNATURES[one], *SIGNATURES[other]}),
        offered,
    )


def call(numbers: random.Random, asked: Request) -> tuple[str, dict[str, str]]:
    """A tool, and the arguments that somebody gives it."""
    absent = sorted(set(SIGNATURES) - set(asked.offered))
    tool = numbers.choice(absent if numbers.random() < ABSENT else asked.offered)
    said = list(asked.values.values())
    arguments = {p: asked.values.get(p) or numbers.choice(said) for p in SIGNATURES[tool]}
    return tool, slip(numbers, arguments, asked) if numbers.random() < SLIPPED else arguments


def slip(numbers: random.Random, arguments: Mapping[str, str], asked: Request) -> dict[str, str]:
    """The arguments, one of them left out, given to another parameter, or given another value."""
    wrong = numbers.choice(list(arguments))
    others = sorted(set(asked.values) - set(arguments))
    kind = numbers.choice(("left out", "another parameter", "another value"))
    if kind == "another value" or (kind == "another parameter" and not others):
        return {**arguments, wrong: numbers.choice(list(asked.values.values()))}
    rest = {parameter: value for parameter, value in arguments.items() if parameter != wrong}
    if kind == "left out":
        return rest
    surplus = numbers.choice(others)
    return {**rest, surplus: asked.values[surplus]}


def failure(tool: str, arguments: Mapping[str, str], asked: Request) -> str | None:
    """What a call comes back with; ``None`` if it is carried out."""
    if tool not in asked.offered:
        return f"{tool} is not defined"
    made_up = next((p for p in arguments if p not in SIGNATURES[tool]), None)
    return None if made_up is None else f"unexpected keyword {made_up}"


def values(numbers: random.Random) -> str:
    """Values as a request mentions them, and some of them again by their names."""
    said = _values(numbers, set(numbers.sample(PARAMETERS, 5)))
    again = numbers.choices(list(said), k=VALUES_PER_DOCUMENT)
    mentioned = " ".join(f"{parameter}={value}" for parameter, value in said.items())
    return f"user: {mentioned}\n{', '.join(f'{parameter}={said[parameter]!r}' for parameter in again)}"


def echo(numbers: random.Random) -> str:
    """Values as a request mentions them, and the same in other orders."""
    said = [
        f" {parameter}={value}" for parameter, value in _values(numbers, set(numbers.sample(PARAMETERS, 4))).items()
    ]
    lines = (numbers.sample(said, len(said)) for _ in range(ECHOES))
    return "".join(f"user:{''.join(line)}\n" for line in lines)


def _values(numbers: random.Random, parameters: set[str]) -> dict[str, str]:
    return {parameter: word(numbers) for parameter in numbers.sample(sorted(parameters), len(parameters))}


_WRITERS = {"conversation": conversation, "values": values, "echo": echo}
