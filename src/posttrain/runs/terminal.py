"""A run on the terminal: one bar with rate and time left, and now and then what the model writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text as RichText

LONGEST_CELL = 120
"""Characters of a completion that a table row shows."""


class Terminal:
    """A display for people; used as a context manager, so that the bar is closed whatever happens."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self.console,
            expand=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Terminal:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._progress.stop()

    def say(self, sentence: str) -> None:
        """Print a line above the bar."""
        self.console.print(sentence, markup=False)

    def begin(self, activity: str, total: int) -> None:
        """Start a new bar below the finished ones."""
        self._task = self._progress.add_task(activity, total=max(1, total), rate="", left="", note="")

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar."""
        if self._task is None:
            return
        self._progress.update(self._task, completed=done)
        task = self._progress.tasks[-1]
        left = "" if task.finished or task.time_remaining is None else f"{clock(task.time_remaining)} left"
        self._progress.update(self._task, note=escape(note), rate=rate(task.speed or task.finished_speed), left=left)

    def samples(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a small table: the prompt, what was given, what was written, and what it was worth."""
        if not rows:
            return
        table = Table(title=f"sampled at step {step}", title_justify="left", expand=True, box=SIMPLE_HEAD, padding=0)
        table.add_column("prompt", ratio=2)
        table.add_column("‹hint› answer", ratio=4)
        table.add_column("reward", justify="right")
        table.add_column("why", ratio=2)
        for row in rows:
            answer = RichText(f"‹{_short(row['given'])}› " if row["given"] else "", style="dim")
            answer.append(_short(row["sampled"]), style="default")
            score = "–" if row["score"] is None else f"{row['score']:.1f}"
            prompt = RichText(_short(row["prompt"][-LONGEST_CELL:]))
            table.add_row(prompt, answer, score, RichText(str(row["reason"] or "")))
        self.console.print(table)


def rate(speed: float | None) -> str:
    """Units per second, or seconds per unit where that is less than one; nothing while it is unknown."""
    if not speed:
        return ""
    return f"{speed:.0f}/s" if speed >= 10 else f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


def clock(seconds: float) -> str:
    """``1:05``, or ``1:02:05`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(text: str) -> str:
    """On few lines: what was written may be long, or many empty lines."""
    flat = text.replace("\n", "⏎")
    return flat if len(flat) <= LONGEST_CELL else flat[: LONGEST_CELL - 1] + "…"
