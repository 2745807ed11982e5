"""A run on the terminal: one bar with rate and time left, and now and then what the model writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
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
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
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
        self.console.print(sentence)

    def begin(self, activity: str, total: int) -> None:
        """Start a new bar below the finished ones."""
        self._task = self._progress.add_task(activity, total=max(1, total), rate="", note="")

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar."""
        if self._task is None:
            return
        speed = self._progress.tasks[-1].speed
        rate = f"{speed:.1f} steps/s" if speed and speed >= 1 else f"{1 / speed:.1f} s/step" if speed else ""
        self._progress.update(self._task, completed=done, note=note, rate=rate)

    def samples(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a small table: the prompt, what was given, what was written, and what it was worth."""
        if not rows:
            return
        table = Table(title=f"sampled at step {step}", title_justify="left", expand=True, show_lines=True)
        table.add_column("prompt", ratio=2)
        table.add_column("answer (given part dim)", ratio=4)
        table.add_column("reward", justify="right")
        table.add_column("why", ratio=1)
        for row in rows:
            answer = RichText(_short(row["given"]), style="dim")
            answer.append(_short(row["sampled"]), style="default")
            score = "–" if row["score"] is None else f"{row['score']:.1f}"
            table.add_row(RichText(_short(row["prompt"][-LONGEST_CELL:])), answer, score, str(row["reason"] or ""))
        self.console.print(table)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
