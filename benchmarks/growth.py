"""How cost grows: ``python -m benchmarks.growth [NAME ...]``.

The 1M model's step against completions per prompt, length of sequences, vocabulary and rows of the data file, each
point in a process of its own, whose greatest memory is read off at the end. Seconds are the processor's, which only one
thread uses: whatever else the machine does counts for nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.work import Work
from benchmarks.harness import HERE, ROOT, spread
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page

if TYPE_CHECKING:
    from posttrain.policy import Policy
    from posttrain.types import Example

FILE = HERE / "results" / "growth.json"
TOKENS = 8192
"""Of a supervised step, however long its sequences are."""
STEPS = 3


@dataclass(frozen=True)
class Axis:
    """One table.

    Args:
        title: what grows.
        fixed: what stays as it is.
        points: values.
        work: the work at a value.
        rows: of the data file at a value; ``None`` reads no file and takes the examples of one step.
    """

    title: str
    fixed: str
    points: Sequence[int]
    work: Callable[[int], Work]
    rows: Callable[[int], int | None] = lambda value: None


REINFORCED = Work("grpo", "grpo", "1M", 1024, 26, 19, 16, live_groups=16)
SAMPLED = Work("sampling", "sampling", "1M", 1024, 26, 19, 16)
SUPERVISED = Work("sft", "sft", "1M", 1024, 26, 19, 64)


def of_length(length: int) -> Work:
    """A supervised step with as many tokens as every other."""
    return replace(SUPERVISED, prompt_tokens=length // 2, completion_tokens=length // 2, prompts=TOKENS // length)


AXES = {
    "completions": Axis(
        "completions per prompt, sampling", "16 prompts of 26 tokens, 19 sampled", (1, 2, 4, 8, 16, 32, 64),
        lambda n: replace(SAMPLED, completions=n),
    ),
    "group": Axis(
        "completions per prompt, reinforced step", "16 prompts of 26 tokens, 19 sampled, every group alive",
        (2, 4, 8, 16, 32, 64), lambda n: replace(REINFORCED, completions=n),
    ),
    "length": Axis(
        "tokens per sequence, supervised step", f"{TOKENS:,} tokens in a step", (32, 64, 128, 256, 512, 1024, 2048),
        of_length,
    ),
    "vocabulary": Axis(
        "vocabulary, supervised step", "64 sequences of 45 tokens", (1024, 4096, 16384, 65536, 131072),
        lambda n: replace(SUPERVISED, vocabulary=n),
    ),
    "examples": Axis(
        "rows of the data file, supervised step", "64 sequences of 45 tokens; JSON lines, those of the training split",
        (1_000, 10_000, 100_000, 1_000_000), lambda n: SUPERVISED, lambda n: n,
    ),
}  # fmt: skip


def point(work: Work, file: str | None) -> dict[str, Any]:
    """Measure one point in this process."""
    import torch

    from benchmarks.contestants.serving import most_memory_mib
    from benchmarks.contestants.with_posttrain import repetition
    from posttrain.loading import load_policy
    from posttrain.runtime import local_runtime

    torch.set_num_threads(1)
    runtime = local_runtime("auto")
    folder = model_folder(replace(SIZES[work.size], vocabulary=work.vocabulary))
    policy = load_policy(folder, runtime)
    data_set, passed = (None, {}) if file is None else read(file, policy)
    measure = repetition(work, policy, runtime, data_set)
    measure()
    seconds = [measure()["processor_seconds"] for _ in range(STEPS)]
    return {"seconds": spread(seconds), "memory_mib": most_memory_mib(), **passed}


def read(file: str, policy: Policy) -> tuple[Sequence[Example], dict[str, float]]:
    """The training examples as a run gets them, and the seconds of reading and of looking whether they fit."""
    from benchmarks.contestants.with_posttrain import CHECKER
    from posttrain.data.reading import read_examples
    from posttrain.runs.problems import keep_fitting

    began = time.process_time()
    rows = read_examples(file, CHECKER)
    drawn = rows.examples("train", len(rows.split("train")), 0)
    there = time.process_time()
    fitting, _ = keep_fitting(drawn, policy.text.length, policy.context, "error")
    return fitting, {"reading_s": there - began, "fitting_s": time.process_time() - there}


def in_a_process(axis: Axis, value: int) -> dict[str, Any]:
    """The same in a new one."""
    from benchmarks.contestants.with_posttrain import write

    work, rows = axis.work(value), axis.rows(value)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    with tempfile.TemporaryDirectory() as folder:
        file = None if rows is None else Path(folder) / "rows.jsonl"
        if file is not None and rows is not None:
            write(work, rows, file)
        line = json.dumps([work.to_json(), None if file is None else str(file)])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth", "--point", line],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment,
        )
    return {"value": value, **json.loads(done.stdout.splitlines()[-1])}


def measure(names: Sequence[str], cores: Sequence[int]) -> None:
    """Measure, print and store whole axes; what is not asked for stays as it was."""
    stored: Mapping[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in names:
        axis, rows = AXES[name], []
        print(f"{axis.title} ({axis.fixed})", flush=True)
        for value in axis.points:
            rows.append(in_a_process(axis, value))
            print(f"{value:12,d} {rows[-1]['seconds']['median']:9.3f} s {rows[-1]['memory_mib']:8,.0f} MiB", flush=True)
        entry = {"title": axis.title, "fixed": axis.fixed, "rows": rows, "machine": facts(cores)}
        stored = {**stored, name: entry}
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(stored, indent=1) + "\n")


def main() -> None:
    """Measure all axes, those that are named, or one point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"among {', '.join(AXES)}; all of them")
    parser.add_argument("--core", type=int, default=0, help="the processor core that is used (0)")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.point:
        work, file = json.loads(asked.point)
        print(json.dumps(point(Work.from_json(work), file)))
        return
    os.sched_setaffinity(0, [asked.core])
    measure(asked.names or list(AXES), [asked.core])
    write_page()


if __name__ == "__main__":
    main()
