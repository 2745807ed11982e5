"""The theory's experiment: explored leaves against height for RFT and UFT, and five ways to fade a hint."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from posttrain.errors import UserError
from posttrain.theory.annealing import ARMS, AnnealingSettings, Arm, anneal
from posttrain.theory.exploration import ExplorationSettings, HintLaw, explore, no_hint, uniform_hint
from posttrain.theory.growth import (
    ExponentialLaw,
    HeightSummary,
    PowerLaw,
    fit_exponential_law,
    fit_power_law,
    median_leaves,
    summarise,
)
from posttrain.theory.plot import draw_exploration
from posttrain.theory.rows import AnnealingRow, ExplorationRow, write_rows
from posttrain.theory.tree import random_tree

BRANCHING = 3
HEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 10)
"""Heights at which both methods run; RFT needs about 150,000 leaves at the last."""
UFT_ONLY_HEIGHTS = (12, 16, 24)
"""Heights that only UFT can afford."""
QUICK_HEIGHTS = (2, 3, 4, 5, 6)
SEEDS = 25
"""Enough that the median ratio at small heights is not decided by luck; 9 are not."""
ANNEALING_TREES = ((4, 8), (3, 4))
"""(B, H) of the annealing comparison: one that RFT cannot solve in the budget, one where nobody should win."""

PRACTICAL = ExplorationSettings()
BUDGET = AnnealingSettings()

Job = Callable[[], ExplorationRow | AnnealingRow]


@dataclass(frozen=True)
class TheoryReport:
    """What :func:`run_theory` found.

    Args:
        exploration: the rows of ``theory.json``.
        annealing: the rows of ``annealing.json``.
        heights: medians, bound and ratio per height.
        uft_growth: the polynomial fitted to UFT's medians, or ``None`` if fewer than two are known.
        rft_growth: the exponential fitted to RFT's medians, or ``None`` likewise.
        files: everything written.
    """

    exploration: tuple[ExplorationRow, ...]
    annealing: tuple[AnnealingRow, ...]
    heights: tuple[HeightSummary, ...]
    uft_growth: PowerLaw | None
    rft_growth: ExponentialLaw | None
    files: tuple[Path, ...]


def explore_once(
    method: str, hint_law: HintLaw, branching: int, height: int, seed: int, settings: ExplorationSettings
) -> ExplorationRow:
    """Algorithm 2 on one random tree; the seed fixes the tree before the hint law draws anything."""
    rng = np.random.default_rng([seed, height, branching])
    run = explore(random_tree(branching, height, rng), hint_law, settings, rng)
    return ExplorationRow(height, branching, method, seed, run.leaves, run.solved, run.pass_at_1)


def anneal_once(arm: Arm, branching: int, height: int, seed: int, settings: AnnealingSettings) -> AnnealingRow:
    """Algorithm 1 on one random tree; the seed fixes the tree before the schedule draws anything."""
    rng = np.random.default_rng([seed, height, branching])
    reached = anneal(random_tree(branching, height, rng), arm, settings, rng)
    return AnnealingRow(arm.method, height, branching, seed, reached, settings.leaves)


def run_theory(
    out: Path,
    seeds: int,
    on_progress: Callable[[int, int], None],
    heights: Sequence[int] = HEIGHTS,
    uft_only_heights: Sequence[int] = UFT_ONLY_HEIGHTS,
    workers: int = 2,
    settings: ExplorationSettings = PRACTICAL,
    annealing_settings: AnnealingSettings = BUDGET,
) -> TheoryReport:
    """Run everything, then write ``theory.json``, ``annealing.json``, ``theory.png`` and ``theory.svg`` into ``out``.

    The rows depend on the arguments only, never on ``workers``. Nothing is written before every run has ended.

    Args:
        out: folder of the results; made if missing.
        seeds: runs per height and method, at least 1; the seeds are 0 .. ``seeds`` - 1.
        on_progress: called in this process with (runs done, runs in all) after each run.
        heights: heights of the trees on which both methods explore, at least one.
        uft_only_heights: heights of the trees on which only UFT explores.
        workers: processes; 1 stays in this one.
        settings: of the exploration.
        annealing_settings: of the annealing comparison.
    """
    _check(seeds, heights, uft_only_heights, workers)
    jobs = _jobs(seeds, heights, uft_only_heights, settings, annealing_settings)
    rows = _inline(jobs, on_progress) if workers == 1 else _in_processes(jobs, workers, on_progress)
    exploration = [row for row in rows if isinstance(row, ExplorationRow)]
    exploration.sort(key=lambda row: (row.height, row.method, row.seed))
    annealing = [row for row in rows if isinstance(row, AnnealingRow)]
    out.mkdir(parents=True, exist_ok=True)
    write_rows(out / "theory.json", exploration)
    write_rows(out / "annealing.json", annealing)
    files = (out / "theory.json", out / "annealing.json", *draw_exploration(exploration, out))
    return _report(exploration, annealing, files)


def _report(
    exploration: Sequence[ExplorationRow], annealing: Sequence[AnnealingRow], files: tuple[Path, ...]
) -> TheoryReport:
    return TheoryReport(
        tuple(exploration),
        tuple(annealing),
        tuple(summarise(exploration)),
        fit_power_law(median_leaves(exploration, "uft")),
        fit_exponential_law(median_leaves(exploration, "rft")),
        files,
    )


def _check(seeds: int, heights: Sequence[int], uft_only_heights: Sequence[int], workers: int) -> None:
    """Refuse sizes that mean nothing, and trees whose leaves have no 64-bit number."""
    tallest = int(62 / np.log2(BRANCHING))
    if seeds < 1 or workers < 1:
        raise UserError(f"seeds and workers must be at least 1, got {seeds} and {workers}")
    if not heights:
        raise UserError("give at least one height at which both methods run")
    every = [*heights, *uft_only_heights]
    if len(set(every)) != len(every):
        raise UserError(f"every height can be given once only, got {every}")
    for height in every:
        if not 1 <= height <= tallest:
            raise UserError(f"a height lies between 1 and {tallest}, got {height}")


def _jobs(
    seeds: int,
    heights: Sequence[int],
    uft_only_heights: Sequence[int],
    settings: ExplorationSettings,
    annealing_settings: AnnealingSettings,
) -> list[Job]:
    """Every run, the longest first so that no process is left alone with one at the end."""
    jobs: list[Job] = []
    for height in sorted(heights, reverse=True):
        jobs += [partial(explore_once, "rft", no_hint, BRANCHING, height, seed, settings) for seed in range(seeds)]
    for height in sorted([*heights, *uft_only_heights], reverse=True):
        jobs += [partial(explore_once, "uft", uniform_hint, BRANCHING, height, seed, settings) for seed in range(seeds)]
    for branching, height in ANNEALING_TREES:
        for arm in ARMS:
            jobs += [partial(anneal_once, arm, branching, height, seed, annealing_settings) for seed in range(seeds)]
    return jobs


def _inline(jobs: Sequence[Job], on_progress: Callable[[int, int], None]) -> list[ExplorationRow | AnnealingRow]:
    rows = []
    for job in jobs:
        rows.append(job())
        on_progress(len(rows), len(jobs))
    return rows


def _in_processes(
    jobs: Sequence[Job], workers: int, on_progress: Callable[[int, int], None]
) -> list[ExplorationRow | AnnealingRow]:
    """The rows in the order of ``jobs``. Processes are spawned: forking a program that has threads is not safe."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts) as pool:
        running = [pool.submit(job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(running), start=1):
                future.result()
                on_progress(done, len(jobs))
        finally:
            pool.shutdown(cancel_futures=True)
        return [future.result() for future in running]


def _leave_interrupts() -> None:
    """Ctrl-C is the parent's to answer; otherwise every worker would print a traceback of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
