"""Ctrl-C ends a run after the step in progress, so that its checkpoint is whole; a second one ends it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def finish_the_step() -> Iterator[Callable[[], bool]]:
    """While the block runs, the first SIGINT is only remembered.

    Yields:
        A function that tells whether it came.
    """
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if not _can_set_signals():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def started_deaf() -> Iterator[None]:
    """Processes started in the block ignore SIGINT, which a terminal sends to all; they are stopped by other means."""
    if not _can_set_signals():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _can_set_signals() -> bool:
    """Signals reach the main thread only."""
    return threading.current_thread() is threading.main_thread()
