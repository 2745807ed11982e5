"""Several runs at once, each in a process of its own; finished ones are kept, broken-off ones go on."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from posttrain.cores import available_cores
from posttrain.errors import UserError
from posttrain.runs import folder, recipe_file
from posttrain.runs.display import Display, Silent
from posttrain.runs.divergence import Diverged, reason, record
from posttrain.runs.interrupts import started_deaf
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import resolved

stopping: ContextVar[Event] = ContextVar("stopping")
"""In a process that carries out runs: set when they are to end with a checkpoint."""


def run_all(
    specs: Sequence[RunSpec],
    base: Mapping[str, Any],
    workers: int,
    display: Display,
    activity: str,
    on_finished: Callable[[], object] = lambda: None,
) -> list[dict[str, Any] | None]:
    """Carry out every run that has neither a summary yet nor diverged.

    Args:
        specs: runs with different folders.
        base: the base's summary, measured once for all of them; empty if it was measured on other problems.
        workers: processes at a time; the machine's cores are shared out among them.
        display: told of the finished steps of all runs together.
        activity: what to call this set of runs.
        on_finished: called whenever a run has finished.

    Returns:
        The summaries, in the order of ``specs``; ``None`` for a run that diverged.

    Raises:
        UserError: a folder holds a run with other settings, or a run failed for a reason that a person can mend.
    """
    for spec in specs:
        refuse_another(spec)
    waiting = [spec for spec in specs if not _ended(spec)]
    display.begin(activity, sum(_steps(spec) for spec in specs))
    if waiting:
        with _pool(min(workers, len(waiting))) as pool:
            with started_deaf():
                jobs = [pool.submit(_carry_out, spec, dict(base)) for spec in waiting]
            _watch(jobs, specs, display, on_finished)
    display.advance(sum(_steps(spec) for spec in specs))
    return [folder.read_json(Path(spec.out) / folder.SUMMARY) if finished(spec) else None for spec in specs]


def finished(spec: RunSpec) -> bool:
    """Whether the run's summary, the last thing that a run writes but its report, is there."""
    return (Path(spec.out) / folder.SUMMARY).is_file()


def _ended(spec: RunSpec) -> bool:
    """Whether nothing is left to do; a run that diverged would do so again."""
    return finished(spec) or reason(Path(spec.out)) is not None


def refuse_another(spec: RunSpec) -> None:
    """Refuse a folder with a run that is not the one that is meant: its results would be taken for those of another.

    Raises:
        UserError: naming the first setting that differs.
    """
    path = Path(spec.out)
    if not (path / folder.RECIPE).is_file():
        return
    there, meant = _comparable(recipe_file.read(path)), _comparable(spec)
    different = next((name for name in meant if there[name] != meant[name]), None)
    if different is not None:
        raise UserError(
            f"{str(path)!r} holds a run with {different} = {there[different]!r}, not {meant[different]!r}; "
            "give another folder with --out"
        )


def _comparable(spec: RunSpec) -> dict[str, Any]:
    """Fields and settings by name; the precision is left out, ``auto`` is another one on another machine."""
    settings = resolved(spec.method, spec.arguments)
    steps = settings.pop("steps", None)
    fields = dataclasses.asdict(spec) | {"steps": steps if spec.steps is None else spec.steps}
    left_out = ("out", "precision", "arguments")
    written: dict[str, Any] = folder.plain({name: v for name, v in fields.items() if name not in left_out} | settings)
    return written


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    threads = max(1, available_cores() // workers)
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(threads, stop))
    try:
        yield pool
    except BaseException:
        stop.set()
        raise
    finally:
        _close(pool)


def _close(pool: ProcessPoolExecutor) -> None:
    """Wait for the runs in progress to save themselves; a person who does not want to wait ends them at once."""
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    except KeyboardInterrupt:
        for child in active_children():
            child.terminate()
        raise


def _begin(threads: int, stop: Event) -> None:
    import torch

    stopping.set(stop)
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _end_with_parent(stop: Event) -> None:
    """A parent that was killed cannot tell its workers to stop: save the run in progress and end."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        stop.set()
        with _at_work:
            os._exit(1)


_at_work = threading.Lock()
"""Held by a worker while it carries out a run."""


def _carry_out(spec: RunSpec, base: dict[str, Any]) -> None:
    with _at_work:
        try:
            _go_on(spec, base)
        except Diverged as error:
            record(Path(spec.out), error)


def _go_on(spec: RunSpec, base: dict[str, Any]) -> None:
    from posttrain.runs.execute import resume, run

    path, stop = Path(spec.out), stopping.get().is_set
    folder.put_back(path / folder.CHECKPOINT)
    if (path / folder.CHECKPOINT).is_dir():
        resume(path, Silent(), stop)
        return
    shutil.rmtree(path, ignore_errors=True)  # broken off before its first checkpoint: nothing to keep
    run(spec, Silent(), base, stop=stop)


def _watch(
    jobs: Sequence[Future[None]], specs: Sequence[RunSpec], display: Display, on_finished: Callable[[], object]
) -> None:
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        for job in sorted(done, key=jobs.index):  # so that what finished first is reported before a later one's error
            job.result()
            on_finished()
        running = [Path(s.out).name for s in specs if not _ended(s) and (Path(s.out) / folder.METRICS).exists()]
        display.advance(sum(_steps_done(spec) for spec in specs), ", ".join(running[:2]))


def _steps(spec: RunSpec) -> int:
    """Steps of a run as its bar counts them; a recipe of two stages has more, and its bar ends early by that."""
    return spec.steps or 500


def _steps_done(spec: RunSpec) -> int:
    if _ended(spec):
        return _steps(spec)
    path = Path(spec.out) / folder.METRICS
    return min(_steps(spec), path.read_bytes().count(b"\n")) if path.exists() else 0
