"""This library against its peers: ``python -m benchmarks.run [--quick] [--repetitions N] [NAME ...]``.

Each work is measured in turns, A B A B, by contestants that live in processes of their own, on the same core, with the
same model, texts, token counts and precision; results go to ``benchmarks/results`` and then to ``docs/performance.md``.
``--tune`` looks for everybody's fastest settings instead. See ``works.py`` for the programme, ``make bench`` for all of
it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import tuning
from benchmarks.contestants.serving import Order
from benchmarks.contestants.work import Work
from benchmarks.harness import HERE, ROOT, ContestantFailed, Program, Turns, ratios, running, take_turns
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page
from benchmarks.tuning import Settings, settings_of
from benchmarks.works import ENTRIES, Entry, peer

RESULTS = HERE / "results"
ROUNDS_IN_TURNS = 3
"""Of candidates that are about as fast."""
OURS = Program(
    "posttrain", Path(sys.executable), "benchmarks.contestants.with_posttrain", {"PYTHONPATH": str(ROOT / "src")}
)
LIMITS = Program("limits", Path(sys.executable), "benchmarks.limits", {"PYTHONPATH": str(ROOT / "src")})
PEERS = {
    "trl": Program("trl", HERE / ".peers" / "bin" / "python", "benchmarks.contestants.with_trl"),
    "vllm": Program("vllm", HERE / ".vllm" / "bin" / "python", "benchmarks.contestants.with_vllm"),
}


def order(work: Work, threads: int, settings: Settings) -> Order:
    """The work, with the folder of its model."""
    return Order(work, str(model_folder(SIZES[work.size])), threads, settings)


def measure(entry: Entry, repetitions: int, threads: int) -> dict[str, Any]:
    """One work, by this library and its peer, as it is stored.

    Raises:
        ContestantFailed: one of them could not.
    """
    work, other = entry.work, PEERS[peer(entry.work.kind)]
    ours, theirs = settings_of(work, tuning.OURS), settings_of(work, tuning.PEERS)
    orders = {OURS: order(work, threads, ours), other: order(work, threads, theirs)}
    began = time.monotonic()
    turns = take_turns(orders, repetitions)
    return {
        "work": json.loads(work.to_json()),
        "tokens": work.tokens,
        "wanted": entry.wanted,
        "peer": other.name,
        "contestants": {name: one.to_json() for name, one in turns.items()},
        "ratio": ratios(turns[OURS.name].seconds, turns[other.name].seconds),
        "processor_ratio": ratios(turns[OURS.name].processor_seconds, turns[other.name].processor_seconds),
        "least": least(work, threads),
        "busy": busy(turns, threads),
        "took": round(time.monotonic() - began),
    }


def least(work: Work, threads: int) -> Mapping[str, float]:
    """What the machine itself needs for the work; see ``limits.py``."""
    with running(LIMITS, order(work, threads, {})) as limits:
        return limits.measure()


def busy(turns: Mapping[str, Turns], threads: int) -> float:
    """The share of the clock's time in which the contestants had the processor."""
    answers = [one for turn in turns.values() for one in turn.repetitions]
    return sum(a["processor_seconds"] for a in answers) / sum(a["seconds"] for a in answers) / threads


def line(result: Mapping[str, Any]) -> str:
    """One row of the printed table."""
    ours, theirs = (result["contestants"][name]["seconds"] for name in ("posttrain", result["peer"]))
    ratio, rate = result["ratio"], result["tokens"] / ours["median"]
    wanted = "" if result["wanted"] is None else f" (wanted {result['wanted']:g})"
    return (
        f"{result['work']['name']:22s} {ours['median']:8.2f} s {theirs['median']:8.2f} s {result['peer']:5s} "
        f"{rate:9,.0f} tokens/s {ratio['median']:6.2f} x [{ratio['least']:.2f}, {ratio['most']:.2f}]{wanted}"
        f" processor {result['processor_ratio']['median']:.2f} x"
        f"  least {result['least']['seconds']:.2f} s  busy {result['busy']:.0%}"
    )


def compete(entries: Sequence[Entry], repetitions: int, cores: Sequence[int]) -> list[str]:
    """Measure, store and print every work; the names of those that failed."""
    RESULTS.mkdir(exist_ok=True)
    failed = []
    for entry in entries:
        machine = facts(cores)
        try:
            result = measure(entry, repetitions, len(cores))
        except ContestantFailed as failure:
            failed.append(entry.work.name)
            print(f"{entry.work.name:22s} failed: {failure}", flush=True)
            continue
        (RESULTS / f"{entry.work.name}.json").write_text(json.dumps({**result, "machine": machine}, indent=1) + "\n")
        print(line(result), flush=True)
    return failed


def count_limits(entries: Sequence[Entry], threads: int) -> None:
    """Take the least times of stored works anew."""
    for entry in entries:
        file = RESULTS / f"{entry.work.name}.json"
        if file.exists():
            found = {**json.loads(file.read_text()), "least": least(entry.work, threads)}
            file.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{entry.work.name:22s} least {found['least']['seconds']:.2f} s", flush=True)


@dataclass(frozen=True)
class Trials:
    """Processor seconds of a repetition with candidates; see :class:`benchmarks.tuning.Trial`.

    Args:
        programs: who does a work of each kind.
        threads: that it has.
    """

    programs: Callable[[Work], Program]
    threads: int

    def alone(self, work: Work, settings: Settings) -> float:
        """The faster of two."""
        with running(self.programs(work), order(work, self.threads, settings)) as contestant:
            found = min(contestant.measure()["processor_seconds"] for _ in range(2))
        return self._told(work, settings, found, "alone")

    def in_turns(self, work: Work, settings: Sequence[Settings]) -> list[float]:
        """The median of several rounds."""
        programs = [replace(self.programs(work), name=f"candidate {place}") for place in range(len(settings))]
        orders = {program: order(work, self.threads, one) for program, one in zip(programs, settings)}
        turns = take_turns(orders, ROUNDS_IN_TURNS).values()
        found = [statistics.median(one.processor_seconds) for one in turns]
        return [self._told(work, one, seconds, "in turns") for one, seconds in zip(settings, found, strict=True)]

    def _told(self, work: Work, settings: Settings, seconds: float, how: str) -> float:
        name = self.programs(work).name
        print(f"{work.name:22s} {seconds:8.2f} s {how:8s} {name:9s} {dict(settings)}", flush=True)
        return seconds


def look_for_settings(entries: Sequence[Entry], cores: Sequence[int]) -> None:
    """Try everybody's candidates."""
    works, threads = [entry.work for entry in entries], len(cores)
    tuning.tune(works, Trials(lambda work: OURS, threads), facts(cores), tuning.OURS)
    tuning.tune(works, Trials(lambda work: PEERS[peer(work.kind)], threads), facts(cores), tuning.PEERS)


def main() -> int:
    """Measure what was asked for; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="works, by their name or its beginning; all of them")
    parser.add_argument("--quick", action="store_true", help="the few works that say most")
    parser.add_argument("--repetitions", type=int, help="of each contestant (5; with --quick 3)")
    parser.add_argument("--cores", default="0", help="the processor cores that may be used, as in 0,1 (0)")
    parser.add_argument("--tune", action="store_true", help="look for everybody's fastest settings instead")
    parser.add_argument("--limits", action="store_true", help="take only the least times of stored works anew")
    asked = parser.parse_args()
    cores = sorted(int(core) for core in asked.cores.split(","))
    os.sched_setaffinity(0, cores)
    entries = [e for e in ENTRIES if e.quick or not asked.quick]
    entries = [e for e in entries if not asked.names or e.work.name.startswith(tuple(asked.names))]
    if asked.tune:
        look_for_settings(entries, cores)
        return 0
    if asked.limits:
        count_limits(entries, len(cores))
        write_page()
        return 0
    failed = compete(entries, asked.repetitions or (3 if asked.quick else 5), cores)
    write_page()
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
