"""Running a function that may hang or crash: in a child process that is killed at a deadline and started again.

The child is persistent, so that heavy imports are paid once. It is started by ``spawn`` (no inherited locks), ignores
Ctrl-C (the parent decides), and leaves by itself when its parent is gone, however that happened. A pool has as many
children as calls wait at the same time.
"""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.util  # its exit handler is registered before ours, and so runs after it
import os
import queue
import signal
import threading
import traceback
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, TypeVar

from posttrain.cores import available_cores

Result = TypeVar("Result")

START_DEADLINE_S = 120.0
"""Seconds for the child to start and prepare; importing a symbolic library on a busy machine takes a few."""

MOST_PROCESSES = 16
"""Children of a pool, if nobody says how many: each holds a symbolic library, about 70 MB."""

_FAMILY = threading.RLock()
"""Held while a child is looked at, started or ended: the standard library reaps all children wherever it starts one."""


class IsolatedError(Exception):
    """The function raised, or its process could not start. The message holds the child's traceback."""


@dataclass(frozen=True)
class Finished(Generic[Result]):
    """The function returned ``value``."""

    value: Result


@dataclass(frozen=True)
class Unfinished:
    """The function did not return: ``reason`` says whether it was stopped at the deadline or its process died."""

    reason: str


@dataclass(frozen=True)
class _Failure:
    report: str


_ENDING = threading.Event()
"""Set when the program begins to end: a thread that still judges must not start another child then."""
atexit.register(_ENDING.set)


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    connection: Connection
    owner: int

    def stop(self) -> None:
        # After a fork the copy of this object belongs to another process, which must not touch the child.
        if os.getpid() == self.owner:
            with _FAMILY:
                # Not closed: where the program is ending, its exit may be joining the same process.
                self.process.kill()
                self.process.join()
        self.connection.close()


class Isolated(Generic[Result]):
    """Calls ``function`` in a child process; the child starts at the first call and ends with this object.

    Args:
        function: importable by name, as its arguments and result must be picklable.
        deadline_s: seconds that one call may take, above 0. Starting the child does not count.
        prepare: called once in a new child before the first call, for slow imports.
    """

    def __init__(
        self, function: Callable[..., Result], deadline_s: float, prepare: Callable[[], object] | None = None
    ) -> None:
        if deadline_s <= 0:
            raise ValueError(f"a deadline must be above 0 seconds, got {deadline_s}")
        self._function, self._deadline_s, self._prepare = function, deadline_s, prepare
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._finalizer: weakref.finalize[[], Isolated[Result]] | None = None

    def __call__(self, *arguments: Any) -> Finished[Result] | Unfinished:
        """Run the function; calls of several threads take turns.

        Raises:
            IsolatedError: the function raised, or the child did not start.
        """
        with self._lock:
            if _ENDING.is_set():
                return Unfinished("the program is ending")
            child = self._running()
            try:
                child.connection.send(arguments)
                if not child.connection.poll(self._deadline_s):
                    self._stop()
                    return Unfinished(f"timed out after {self._deadline_s:g} s")
                outcome = child.connection.recv()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                self._stop()
                return Unfinished("its process died")
            except BaseException:
                self._stop()  # its answer to this call would be taken for that to the next one
                raise
        if isinstance(outcome, _Failure):
            raise IsolatedError(outcome.report)
        return Finished(outcome)

    def close(self) -> None:
        """End the child process; a later call starts a new one."""
        with self._lock:
            self._stop()

    @property
    def process_id(self) -> int | None:
        """The child's process id while there is one."""
        return self._child.process.pid if self._child else None

    def __reduce__(self) -> tuple[type[Isolated[Result]], tuple[object, ...]]:
        """A copy elsewhere gets a child of its own."""
        return type(self), (self._function, self._deadline_s, self._prepare)

    def _running(self) -> _Child:
        child = self._child
        with _FAMILY:
            if child and child.owner == os.getpid() and child.process.is_alive():
                return child
        self._stop()
        self._child = child = _start(self._function, self._prepare)
        self._finalizer = weakref.finalize(self, child.stop)
        return child

    def _stop(self) -> None:
        finalizer, self._finalizer, self._child = self._finalizer, None, None
        if finalizer is not None:
            finalizer()


class IsolatedPool(Generic[Result]):
    """Calls ``function`` in child processes of which each does one call at a time, with a deadline of its own.

    A child starts when a call comes and all others are busy.

    Args:
        function, deadline_s, prepare: as for :class:`Isolated`.
        processes: children, at most; by default one for each available core, up to ``MOST_PROCESSES``. Further calls
            take turns.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        deadline_s: float,
        prepare: Callable[[], object] | None = None,
        processes: int | None = None,
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError(f"a pool needs at least 1 process, got {processes}")
        self._arguments = (function, deadline_s, prepare, processes)
        count = min(available_cores(), MOST_PROCESSES) if processes is None else processes
        self._children = [Isolated(function, deadline_s, prepare) for _ in range(count)]
        # The last to be given back is the first to be taken, so that calls one after the other need one child.
        self._free: queue.LifoQueue[Isolated[Result]] = queue.LifoQueue()
        for child in self._children:
            self._free.put(child)

    def __call__(self, *arguments: Any) -> Finished[Result] | Unfinished:
        """Run the function in a child that is free.

        Raises:
            IsolatedError: the function raised, or the child did not start.
        """
        child = self._free.get()
        try:
            return child(*arguments)
        finally:
            self._free.put(child)

    def close(self) -> None:
        """End the child processes; a later call starts one anew."""
        for child in self._children:
            child.close()

    @property
    def process_ids(self) -> list[int]:
        """Those of the children that there are."""
        return [child.process_id for child in self._children if child.process_id is not None]

    def __reduce__(self) -> tuple[type[IsolatedPool[Result]], tuple[object, ...]]:
        """A copy elsewhere gets children of its own."""
        return type(self), self._arguments


def _start(function: Callable[..., object], prepare: Callable[[], object] | None) -> _Child:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function, prepare), daemon=True, name="isolated")
    with _FAMILY:
        process.start()
    theirs.close()
    child = _Child(process, ours, os.getpid())
    try:
        greeting = ours.recv() if ours.poll(START_DEADLINE_S) else _Failure("the process did not start in time")
    except EOFError:
        greeting = _Failure("the process died while starting")
    if isinstance(greeting, _Failure):
        child.stop()
        raise IsolatedError(greeting.report)
    return child


def _serve(connection: Connection, function: Callable[..., object], prepare: Callable[[], object] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with _Reporting(connection):
        if prepare is not None:
            prepare()
        connection.send("ready")
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        with _Reporting(connection):
            connection.send(function(*arguments))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@dataclass(frozen=True)
class _Reporting:
    """Sends an exception of its block to the parent, where it is raised."""

    connection: Connection

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self.connection.send(_Failure("".join(traceback.format_exception(error)).rstrip()))
        return True
