"""How cost grows: ``python -m benchmarks.growth [NAME ...]``.

The 1M model's step against completions per prompt, length of sequences, vocabulary and number of examples, each point
in a process of its own, whose greatest memory is read off at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.contestants.work import Work
from benchmarks.harness import HERE, ROOT, spread
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page

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
        examples: in the data set at a value; ``None`` takes those of one step.
    """

    title: str
    fixed: str
    points: Sequence[int]
    work: Callable[[int], Work]
    examples: Callable[[int], int | None] = lambda value: None


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
        "examples in the data set, supervised step", "64 sequences of 45 tokens", (1_000, 10_000, 100_000, 1_000_000),
        lambda n: SUPERVISED, lambda n: n,
    ),
}  # fmt: skip


def point(work: Work, examples: int | None) -> dict[str, Any]:
    """Measure one point in this process."""
    import torch

    from benchmarks.contestants.with_posttrain import repetition
    from posttrain.loading import load_policy
    from posttrain.runtime import local_runtime

    torch.set_num_threads(1)
    runtime = local_runtime("auto")
    folder = model_folder(replace(SIZES[work.size], vocabulary=work.vocabulary))
    policy = load_policy(folder, runtime)
    measure = repetition(work, policy, runtime, examples)
    measure()
    seconds = [measure()["seconds"] for _ in range(STEPS)]
    return {"seconds": spread(seconds), "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_a_process(axis: Axis, value: int) -> dict[str, Any]:
    """The same in a new one."""
    line = json.dumps([axis.work(value).to_json(), axis.examples(value)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
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
        work, examples = json.loads(asked.point)
        print(json.dumps(point(Work.from_json(work), examples)))
        return
    os.sched_setaffinity(0, [asked.core])
    measure(asked.names or list(AXES), [asked.core])
    write_page()


if __name__ == "__main__":
    main()
