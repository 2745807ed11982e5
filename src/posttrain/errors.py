"""The one exception that a person's input can cause: a sentence that names the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input. The command line prints its one sentence and exits with code 2, without a traceback."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """An error for a misspelt ``kind`` that names the nearest of ``known``, or lists them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    remedy = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
    return UserError(f"unknown {kind} {name!r}; {remedy}")
