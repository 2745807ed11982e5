"""The exact value of an arithmetic expression that a model wrote. Nothing of the text is ever executed."""

from __future__ import annotations

import re
from fractions import Fraction

# "44." is a way to write 44, "4.5" is another number: a point followed by a digit is no token.
TOKEN = re.compile(r"\s*(?:([0-9]+)\.?(?![0-9.])|([-+*/()]))")
DEEPEST, LONGEST, MOST_DIGITS = 50, 500, 18


class NotArithmeticError(ValueError):
    """The text has no arithmetic value; the message says why in a few words."""


def evaluate(text: str) -> Fraction:
    """The exact value of an expression over whole numbers, ``+ - * /``, signs and brackets.

    Raises:
        NotArithmeticError: anything else (a power, ``=``, a decimal fraction, a missing bracket), a division by zero,
            or an expression too long or too deep to be an honest answer.
    """
    tokens = _tokens(text)
    value, end = _sum(tokens, 0, 0)
    if end != len(tokens):
        raise NotArithmeticError("not an arithmetic expression")
    return value


def _tokens(text: str) -> list[str]:
    text = text.rstrip()
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise NotArithmeticError("not an arithmetic expression")
        tokens.append(match[1] or match[2])
        position = match.end()
        if len(tokens) > LONGEST or len(tokens[-1]) > MOST_DIGITS:
            raise NotArithmeticError("expression too long")
    return tokens


def _sum(tokens: list[str], start: int, depth: int) -> tuple[Fraction, int]:
    value, position = _product(tokens, start, depth)
    while position < len(tokens) and tokens[position] in ("+", "-"):
        term, after = _product(tokens, position + 1, depth)
        value = value + term if tokens[position] == "+" else value - term
        position = after
    return value, position


def _product(tokens: list[str], start: int, depth: int) -> tuple[Fraction, int]:
    value, position = _factor(tokens, start, depth)
    while position < len(tokens) and tokens[position] in ("*", "/"):
        factor, after = _factor(tokens, position + 1, depth)
        if tokens[position] == "/" and factor == 0:
            raise NotArithmeticError("division by zero")
        value = value * factor if tokens[position] == "*" else value / factor
        position = after
    return value, position


def _factor(tokens: list[str], start: int, depth: int) -> tuple[Fraction, int]:
    sign, position = 1, start
    while position < len(tokens) and tokens[position] in ("+", "-"):
        sign = -sign if tokens[position] == "-" else sign
        position += 1
    if depth > DEEPEST:
        raise NotArithmeticError("expression too deep")
    if position < len(tokens) and tokens[position].isdigit():
        return Fraction(sign * int(tokens[position])), position + 1
    if position < len(tokens) and tokens[position] == "(":
        value, end = _sum(tokens, position + 1, depth + 1)
        if end < len(tokens) and tokens[end] == ")":
            return sign * value, end + 1
    raise NotArithmeticError("not an arithmetic expression")
