"""Work in threads beside the one that writes: what is finished is judged while the rest is still being written.

Python runs one thread at a time. What is gained is the time in which judging waits for other processes, and in which
writing waits for its device.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, TypeVar

from posttrain.cores import available_cores

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Call(Generic[Result]):
    function: Callable[..., Result]
    arguments: tuple[Any, ...]
    future: Future[Result] = field(default_factory=Future)


@dataclass
class _Attempt:
    """Keeps what its block raises, which belongs to another thread."""

    error: BaseException | None = None

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error
        return True


class Beside:
    """Threads that start when there is something to do, and end with the ``with`` block.

    At the block's end all that was begun is done. If an exception leaves it, no further call is taken up, and those
    under way are waited for; Ctrl-C waits for nothing, and the threads do not keep the program from ending. What a call
    raised is in its future, which has to be asked.

    Args:
        most: threads; by default one for each available core.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = available_cores() if most is None else most
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self.seconds = 0.0
        """Spent in calls, added up over all threads."""

    def __enter__(self) -> Beside:
        """Start nothing yet."""
        return self

    def begin(self, function: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Have ``function(*arguments)`` called by some thread; its result, or what it raised, is in the future.

        Raises:
            BaseException: what an earlier call raised, so that nothing more is written for a run that has to stop.
        """
        if self._failure is not None:
            raise self._failure
        call = _Call(function, arguments)
        self._calls.put(call)
        if len(self._threads) < self._most:
            self._threads.append(threading.Thread(target=self._work, name="beside", daemon=True))
            self._threads[-1].start()
        return call.future

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the threads go."""
        if error is not None:
            self._forget()
        for _ in self._threads:
            self._calls.put(None)
        if error is None or isinstance(error, Exception):
            for thread in self._threads:
                thread.join()

    def _forget(self) -> None:
        """Leave undone what no thread has taken up."""
        try:
            while (call := self._calls.get_nowait()) is not None:
                call.future.cancel()
        except queue.Empty:
            return

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            began = time.perf_counter()
            with _Attempt() as attempt:
                result = call.function(*call.arguments)
            with self._lock:
                self.seconds += time.perf_counter() - began
                self._failure = self._failure or attempt.error
            if attempt.error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(attempt.error)
