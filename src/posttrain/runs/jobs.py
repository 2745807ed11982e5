"""Several runs at once, each in a process of its own; finished ones are kept, broken-off ones go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from posttrain.runs import folder
from posttrain.runs.display import Display, Silent
from posttrain.runs.spec import RunSpec


def run_all(
    specs: Sequence[RunSpec], base: Mapping[str, Any], workers: int, display: Display, activity: str
) -> list[dict[str, Any]]:
    """Carry out every run that has no summary yet.

    Args:
        specs: runs with different folders.
        base: the base's summary, measured once for all of them.
        workers: processes at a time; the machine's cores are shared out among them.
        display: told of the finished steps of all runs together.
        activity: what to call this set of runs.

    Returns:
        The summaries, in the order of ``specs``.
    """
    waiting = [spec for spec in specs if not finished(spec)]
    display.begin(activity, sum(_steps(spec) for spec in specs))
    if waiting:
        with _pool(min(workers, len(waiting))) as pool:
            jobs = {pool.submit(_carry_out, spec, dict(base)): spec for spec in waiting}
            _watch(jobs, specs, display)
    display.advance(sum(_steps(spec) for spec in specs))
    return [folder.read_json(Path(spec.out) / folder.SUMMARY) for spec in specs]


def finished(spec: RunSpec) -> bool:
    """Whether the run's summary, the last thing that a run writes but its report, is there."""
    return (Path(spec.out) / folder.SUMMARY).is_file()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_use_threads, initargs=(threads,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _use_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _carry_out(spec: RunSpec, base: dict[str, Any]) -> None:
    from posttrain.runs.execute import resume, run

    path = Path(spec.out)
    if (path / folder.CHECKPOINT).is_dir():
        resume(path, Silent())
        return
    shutil.rmtree(path, ignore_errors=True)  # broken off before its first checkpoint: nothing to keep
    run(spec, Silent(), base)


def _watch(jobs: Mapping[Future[None], RunSpec], specs: Sequence[RunSpec], display: Display) -> None:
    pending = set(jobs)
    while pending:
        done, pending = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
        for job in done:
            job.result()
        running = [Path(s.out).name for s in specs if not finished(s) and (Path(s.out) / folder.METRICS).exists()]
        display.advance(sum(_steps_done(spec) for spec in specs), ", ".join(running[:2]))


def _steps(spec: RunSpec) -> int:
    """Steps of a run as its bar counts them; a recipe of two stages has more, and its bar ends early by that."""
    return spec.steps or 500


def _steps_done(spec: RunSpec) -> int:
    if finished(spec):
        return _steps(spec)
    path = Path(spec.out) / folder.METRICS
    return min(_steps(spec), path.read_bytes().count(b"\n")) if path.exists() else 0

