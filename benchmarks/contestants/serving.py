"""How a contestant talks to the harness: one line of JSON per question and per answer, on its original stdout.

The harness writes the work, the model's folder and the contestant's settings as the first line, then ``measure`` for
each repetition. The contestant answers the first line when it has warmed up, and every ``measure`` when it is done.
Between its answers it waits, so that of all contestants one computes at a time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.contestants.work import Work

WARM_UP = 2
"""Repetitions before the first one that counts."""


@dataclass(frozen=True)
class Order:
    """What the harness asks of a contestant.

    Args:
        work: what is timed.
        folder: of the model.
        threads: at most, for arithmetic.
        settings: the contestant's own.
    """

    work: Work
    folder: str
    threads: int
    settings: Mapping[str, Any]

    def to_json(self) -> str:
        """One line."""
        return json.dumps([self.work.to_json(), self.folder, self.threads, dict(self.settings)])

    @classmethod
    def from_json(cls, line: str) -> Order:
        """The inverse of :meth:`to_json`."""
        work, folder, threads, settings = json.loads(line)
        return cls(Work.from_json(work), folder, threads, settings)


@dataclass(frozen=True)
class Clock:
    """A moment; both its times are in seconds. The memory that is reported is the most this process ever held.

    Args:
        wall: of the world.
        processor: that this process has computed, over all of its threads. Where it falls behind, somebody else had
            the processor.
    """

    wall: float
    processor: float

    @classmethod
    def now(cls) -> Clock:
        """This moment."""
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> dict[str, float]:
        """What has passed until now."""
        now = Clock.now()
        return {
            "seconds": now.wall - self.wall,
            "processor_seconds": now.processor - self.processor,
            "memory_mib": most_memory_mib(),
        }


def most_memory_mib() -> float:
    """The most that this program ever held; ``nan`` where the system does not tell.

    Not what ``getrusage`` says, which begins with what the program's parent held.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))


def timed(action: Callable[[], Any]) -> dict[str, float]:
    """How long ``action`` takes."""
    began = Clock.now()
    action()
    return began.since()


class Line:
    """The connection. Everything that a library prints goes to stderr from here on."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)

    def order(self) -> Order:
        """What is to be done; the first line."""
        return Order.from_json(sys.stdin.readline())

    def ready(self, *packages: str) -> None:
        """Say that warming up is over, and with which versions."""
        self.answer({"versions": {name: version(name) for name in packages}})

    def asked(self) -> bool:
        """Wait; whether another repetition is wanted."""
        return sys.stdin.readline().strip() == "measure"

    def answer(self, what: Mapping[str, Any]) -> None:
        """Report a repetition."""
        self._answers.write(json.dumps(dict(what)) + "\n")
        self._answers.flush()

    def serve(self, measure: Callable[[], Mapping[str, Any]], *packages: str) -> None:
        """Warm up and answer until nothing more is wanted."""
        for _ in range(WARM_UP):
            measure()
        self.ready(*packages)
        while self.asked():
            self.answer(measure())
