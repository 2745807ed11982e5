"""Where the time of a step goes, for those who ask; nobody's numbers depend on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch

PHASES = ("prefill", "decode", "verify", "annotate", "forward", "backward", "optimiser", "journal")
"""What is told apart, in the order of a step."""


@dataclass
class Stopwatch:
    """Adds up seconds by phase; a phase within another one stops that one's time.

    ``beside`` are the seconds of work in other threads meanwhile, which are no part of the step's.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    beside: float = 0.0
    within: list[str] = field(default_factory=list)
    since: float = 0.0

    def turn(self) -> None:
        """Give the innermost phase the time since the last turn."""
        now = _now()
        if self.within:
            self.seconds[self.within[-1]] += now - self.since
        self.since = now

    def take(self) -> dict[str, float]:
        """The seconds since the last time, by phase; every phase is there."""
        taken, self.seconds = self.seconds, dict.fromkeys(PHASES, 0.0)
        return taken

    def take_beside(self) -> float:
        """The seconds of work in other threads since the last time."""
        taken, self.beside = self.beside, 0.0
        return taken


_RUNNING: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def watching(watch: Stopwatch | None) -> Iterator[None]:
    """Within it, phases are timed by this stopwatch; by none if there is none."""
    token = _RUNNING.set(watch)
    try:
        yield
    finally:
        _RUNNING.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Time what happens within it, if anybody is watching.

    Args:
        name: one of ``PHASES``.
    """
    watch = _RUNNING.get()
    if watch is None:
        yield
        return
    watch.turn()
    watch.within.append(name)
    try:
        yield
    finally:
        watch.turn()
        watch.within.pop()


def worked_beside(seconds: float) -> None:
    """Add what other threads have worked, if anybody is watching."""
    watch = _RUNNING.get()
    if watch is not None:
        watch.beside += seconds


def _now() -> float:
    """A GPU works on while Python goes ahead, so that its time shows only once it has been waited for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
