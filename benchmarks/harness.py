"""Contestants take turns: A B A B …, each a process that lives on between its turns and waits in them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.contestants.serving import Order

HERE = Path(__file__).parent
ROOT = HERE.parent
SILENCE = {
    "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip
"""Nothing is asked of the network, nothing starts threads or processes of its own beside the ones that are counted."""


LINES_OF_COMPLAINT = 12
"""Of a contestant's stderr that are shown when it has failed."""


class ContestantFailed(Exception):
    """A contestant ended before it was told to, or did other work; the message says what."""


@dataclass(frozen=True, eq=False)
class Program:
    """How a contestant is started.

    Args:
        name: in results.
        python: of its environment.
        module: that serves.
        environment: variables beyond this process' own.
    """

    name: str
    python: Path
    module: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Contestant:
    """A running program that has warmed up; :func:`running` makes one.

    Args:
        name: of the program.
        order: what it is asked to do.
        process: the program, with unbuffered pipes.
        errors: where its stderr goes.
    """

    def __init__(self, name: str, order: Order, process: subprocess.Popen[bytes], errors: IO[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._name, self._work, self._process, self._errors = name, order.work, process, errors
        self._questions, self._answers = process.stdin, process.stdout
        self.versions: dict[str, str] = self._ask(order.to_json())["versions"]

    def measure(self) -> dict[str, float]:
        """One repetition.

        Raises:
            ContestantFailed: the program ended, or sampled another number of tokens than the work has.
        """
        answer: dict[str, float] = self._ask("measure")
        expected = self._work.sampled_tokens
        if answer.get("tokens_sampled", expected) != expected:
            raise ContestantFailed(f"{self._name} sampled {answer['tokens_sampled']} tokens instead of {expected}")
        return answer

    def _ask(self, line: str) -> Any:
        try:
            self._questions.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise ContestantFailed(self._complaint()) from None
        answer = self._answers.readline()
        if not answer:
            raise ContestantFailed(self._complaint())
        return json.loads(answer)

    def _complaint(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return "\n".join([f"{self._name} ended with code {code}:", *lines[-LINES_OF_COMPLAINT:]])


@contextmanager
def running(program: Program, order: Order) -> Iterator[Contestant]:
    """Start a program and end it afterwards; it waits then, so nothing is lost."""
    threads = {"OMP_NUM_THREADS": str(order.threads), "MKL_NUM_THREADS": str(order.threads)}
    environment = {**os.environ, **SILENCE, **threads, **program.environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [program.python, "-m", program.module], stderr=errors, cwd=ROOT, env=environment, **pipes
        ) as process,
    ):
        try:
            yield Contestant(program.name, order, process, errors)
        finally:
            process.kill()


@dataclass(frozen=True)
class Turns:
    """What one contestant measured.

    Args:
        versions: of its packages.
        settings: its own.
        repetitions: what it answered, in order.
    """

    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    repetitions: Sequence[Mapping[str, float]]

    @property
    def seconds(self) -> list[float]:
        """Of every repetition."""
        return [one["seconds"] for one in self.repetitions]

    @property
    def processor_seconds(self) -> list[float]:
        """Of every repetition; what somebody else did meanwhile is not in them."""
        return [one["processor_seconds"] for one in self.repetitions]

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "versions": dict(self.versions), "settings": dict(self.settings), "seconds": spread(self.seconds),
            "repetitions": [dict(one) for one in self.repetitions],
        }  # fmt: skip


def take_turns(orders: Mapping[Program, Order], repetitions: int) -> dict[str, Turns]:
    """Start everybody, then let each measure once per round.

    Raises:
        ContestantFailed: one of them could not.
    """
    with ExitStack() as stack:
        started = {program: stack.enter_context(running(program, order)) for program, order in orders.items()}
        measured: dict[Program, list[Mapping[str, float]]] = {program: [] for program in orders}
        for _ in range(repetitions):
            for program, contestant in started.items():
                measured[program].append(contestant.measure())
        return {
            program.name: Turns(started[program].versions, order.settings, measured[program])
            for program, order in orders.items()
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times longer they take, round by round, so that what slows a round slows both."""
    return spread([b / a for a, b in zip(ours, theirs, strict=True)])
