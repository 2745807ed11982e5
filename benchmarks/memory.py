"""What a large vocabulary costs in memory: ``python -m benchmarks.memory``.

One supervised step on a model of the smallest size whose vocabulary is that of Qwen 2.5, with more and more tokens in
the pass: this library, which makes the logits of a few positions at a time, TRL's trainer with everything in one pass,
and the textbook's step, which holds all of them. Every point is a process of its own; its greatest resident memory is
read off at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contestants.serving import Order
from benchmarks.contestants.work import Work
from benchmarks.harness import HERE, ContestantFailed, Program, running
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page
from benchmarks.run import OURS, PEERS

FILE = HERE / "results" / "memory.json"
VOCABULARY = 151_936
PROMPT_TOKENS, COMPLETION_TOKENS = 8, 120
SEQUENCES = (4, 8, 16, 32)
WHOLE = Program("whole logits", Path(sys.executable), "benchmarks.contestants.with_whole_logits")
ONE_PASS = {"attention": "sdpa", "rows_per_pass": 1 << 20}
CONTESTANTS: Mapping[Program, Mapping[str, Any]] = {OURS: {}, PEERS["trl"]: ONE_PASS, WHOLE: {}}


def point(program: Program, settings: Mapping[str, Any], sequences: int) -> dict[str, float] | None:
    """Seconds of a step and the process's greatest memory in MiB; ``None`` if it could not be done."""
    work = Work("memory", "sft", "1M", VOCABULARY, PROMPT_TOKENS, COMPLETION_TOKENS, sequences)
    folder = model_folder(replace(SIZES["1M"], vocabulary=VOCABULARY))
    try:
        with running(program, Order(work, str(folder), 1, settings)) as contestant:
            answer = contestant.measure()
    except ContestantFailed as failure:
        print(f"{program.name} with {sequences} sequences failed: {failure}", flush=True)
        return None
    return {name: answer[name] for name in ("seconds", "processor_seconds", "memory_mib")}


def measure(cores: Sequence[int]) -> dict[str, Any]:
    """All points."""
    rows = []
    for sequences in SEQUENCES:
        found = {program.name: point(program, settings, sequences) for program, settings in CONTESTANTS.items()}
        rows.append({"tokens": sequences * (PROMPT_TOKENS + COMPLETION_TOKENS), **found})
        memory = (f"{name} {one['memory_mib']:,.0f} MiB" for name, one in found.items() if one is not None)
        print(f"{rows[-1]['tokens']:6,d} tokens: {', '.join(memory)}", flush=True)
    return {"vocabulary": VOCABULARY, "rows": rows, "machine": facts(cores)}


def main() -> None:
    """Measure, store, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, default=0, help="the processor core that is used (0)")
    core = parser.parse_args().core
    os.sched_setaffinity(0, [core])
    FILE.write_text(json.dumps(measure([core]), indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
