"""One order and one colour per method, the same on every page; after Okabe and Ito's palette for colour-blind readers.

Each colour has a shade for light and one for dark pages.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour in both schemes, as ``#rrggbb``."""

    light: str
    dark: str


METHODS = {
    "sft": Colour("#d58a00", "#f2b134"),
    "rft": Colour("#c4501b", "#f07c46"),
    "sft_rft": Colour("#b0508c", "#e593c3"),
    "r3": Colour("#00805c", "#3cc79c"),
    "staged": Colour("#4aa5d9", "#a3e0fa"),
    "uft": Colour("#1f5fa8", "#5f9bff"),
}
"""The methods of the package, in the order in which every table and chart shows them."""

OTHERS = (
    Colour("#6b5bb5", "#b3a6f2"),
    Colour("#8a7a00", "#d8ca4c"),
    Colour("#8b5a3c", "#d3a283"),
    Colour("#4d6a6d", "#a5c3c6"),
    Colour("#c23a5b", "#f58ba3"),
    Colour("#2e8b3d", "#83d18f"),
    Colour("#008b9a", "#5fd3df"),
    Colour("#a34bc0", "#dd9bf2"),
    Colour("#5b7f00", "#b4d455"),
    Colour("#36454f", "#dfe6ea"),
)
ROLES = {
    "ink": Colour("#3b4252", "#c9d0dc"),
    "quiet": Colour("#7d8590", "#8e97a5"),
    "given": Colour("#a96800", "#f0b455"),
    "sampled": Colour("#1f5fa8", "#7fb0ff"),
}
"""Colours with a meaning: ``given`` is text from a demonstration, ``sampled`` text from the policy."""

NAMES = {"sft": "SFT", "rft": "RFT", "sft_rft": "SFT-RFT", "r3": "R3", "staged": "staged", "uft": "UFT"}


def label(method: str) -> str:
    """The method's name for people."""
    return NAMES.get(method, method)


def position(method: str) -> tuple[int, str]:
    """A sort key: the package's methods in their order, all others after them by name."""
    order = list(METHODS)
    return (order.index(method) if method in METHODS else len(order), method)


def colour(key: str) -> Colour:
    """The colour of a method or a role; other methods get theirs from their name."""
    return colours([key])[key]


def colours(keys: Iterable[str]) -> dict[str, Colour]:
    """The colours of what stands on one page; no two arms share one while there are enough.

    Args:
        keys: methods, arms and roles. One without a colour of its own gets that of its name, or the next free one if
            an arm before it in the alphabet has it.
    """
    found = {key: METHODS.get(key) or ROLES.get(key) for key in keys}
    free = list(range(len(OTHERS)))
    for key in sorted(key for key, known in found.items() if known is None):
        free = free or list(range(len(OTHERS)))
        wanted = zlib.crc32(key.encode()) % len(OTHERS)
        taken = min(free, key=lambda at: (at - wanted) % len(OTHERS))
        free.remove(taken)
        found[key] = OTHERS[taken]
    return {key: known for key, known in found.items() if known is not None}


def css_class(key: str) -> str:
    """The class that sets ``currentColor`` to the colour of ``key``."""
    return "c-" + re.sub(r"[^A-Za-z0-9]", "-", key)


def css_rules(keys: list[str]) -> tuple[str, str]:
    """The rules behind :func:`css_class` for light and for dark pages."""
    shades = colours(keys)
    light = "\n".join(f".{css_class(key)}{{color:{shades[key].light}}}" for key in keys)
    dark = "\n".join(f".{css_class(key)}{{color:{shades[key].dark}}}" for key in keys)
    return light, dark
