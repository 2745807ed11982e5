"""How a contestant talks to the harness: one line of JSON per question and per answer, on its original stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from work import Work

Measure = Callable[[], Mapping[str, Any]]
"""Does the work once and says in ``seconds`` how long it took, and whatever else it counted."""


class Line:
    """The connection. Everything that a library prints goes to stderr from here on."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def work(self) -> Work:
        """The work that the harness names first."""
        return Work.from_json(sys.stdin.readline())

    def ready(self, packages: tuple[str, ...], settings: Mapping[str, Any]) -> None:
        """Say that warming up is over, with which versions and settings."""
        self._say({"versions": {name: version(name) for name in packages}, "settings": dict(settings)})

    def asked(self) -> bool:
        """Wait for the harness; whether it wants another repetition."""
        return sys.stdin.readline().strip() == "measure"

    def answer(self, measured: Mapping[str, Any]) -> None:
        """Report one repetition."""
        self._say(measured)

    def _say(self, what: Mapping[str, Any]) -> None:
        self._answers.write(json.dumps(dict(what)) + "\n")
        self._answers.flush()


def timed(action: Callable[[], Any]) -> float:
    """Seconds that ``action`` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
