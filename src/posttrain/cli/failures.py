"""How the command line ends when something goes wrong: one sentence, an exit code, and tracebacks in a file."""

from __future__ import annotations

import sys
import tempfile
import traceback
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType

BAD_INPUT, INTERNAL_ERROR, INTERRUPTED = 2, 1, 130
LOG = "log.txt"

working_folder: ContextVar[Path | None] = ContextVar("working_folder", default=None)
"""The folder of the work in progress; its ``log.txt`` takes tracebacks."""


def say(sentence: str) -> None:
    """One sentence to the terminal's error stream."""
    sys.stderr.write(f"posttrain: {sentence}\n")


def record_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For ``sys.excepthook``: the traceback of an unforeseen error goes into a file, its sentence to the terminal."""
    path = _write_log("".join(traceback.format_exception(kind, error, trace)))
    said = " ".join(str(error).split())[:300]
    say(f"internal error: {kind.__name__}{': ' if said else ''}{said}; the traceback is in {path}")


def _write_log(content: str) -> Path:
    """Append to the log of the work in progress if it has a folder that can be written, else to a temporary file."""
    folder = working_folder.get()
    if folder is not None and folder.is_dir():
        try:
            with (folder / LOG).open("a", encoding="utf-8") as stream:
                stream.write(content)
        except OSError:
            pass  # a disk that is full or read-only must not hide the error itself
        else:
            return folder / LOG
    with tempfile.NamedTemporaryFile("w", prefix="posttrain-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(content)
    return Path(file.name)
