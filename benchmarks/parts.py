"""What a step of this library is spent on: ``python -m benchmarks.parts [--core N]``.

A profiler adds up the time inside matrix products, fused attention included, and inside all other operations on
tensors; what is left over is the interpreter, autograd and the profiler itself. A second step counts the bytes of the
tensors that those other operations are given and give: each is read from memory or written there, one that is changed
in place both. That is what a program without fused kernels is held up by.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.contestants.with_posttrain import repetition
from benchmarks.harness import HERE, spread
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page
from benchmarks.works import ENTRIES
from posttrain.loading import load_policy
from posttrain.runtime import local_runtime

FILE = HERE / "results" / "parts.json"
NAMES = (
    "sft-1M-short", "sft-10M-short", "sft-100M-short",
    "grpo-dense-1M-short", "grpo-dense-10M-short", "grpo-dense-100M-short",
    "sampling-1M-short", "sampling-1M-long",
)  # fmt: skip
ATTENTION = (
    "aten::bmm", "aten::baddbmm",
    "aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
)  # fmt: skip
PRODUCTS = (*ATTENTION, "aten::mm", "aten::addmm", "mkldnn::_linear_pointwise")
OPERATORS = ("aten::", "mkldnn::")


class Traffic(TorchDispatchMode):
    """Counts operations on tensors and the bytes of what they take and give, products and views apart."""

    def __init__(self) -> None:
        super().__init__()
        self.operations, self.bytes = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and count it."""
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        if not (func.is_view or name in PRODUCTS or "empty" in name or "view" in name or "detach" in name):
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
            self.operations += 1
            self.bytes += sum(map(size_in_bytes, tensors))
        return result


def size_in_bytes(tensor: torch.Tensor) -> int:
    """What it takes in memory; a dimension that repeats the same numbers takes nothing."""
    stored = [n for n, stride in zip(tensor.shape, tensor.stride()) if stride]
    return int(torch.Size(stored).numel()) * tensor.element_size() if tensor.numel() else 0


def spent(step: Callable[[], object]) -> dict[str, float]:
    """The shares of a step's time inside products, of attention and all, and other operations; the traffic of these."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    events = [event for event in profiled.key_averages() if event.key.startswith(OPERATORS)]
    products = sum(event.self_cpu_time_total for event in events if event.key in PRODUCTS)
    attention = sum(event.self_cpu_time_total for event in events if event.key in ATTENTION)
    others = sum(event.self_cpu_time_total for event in events if event.key not in PRODUCTS)
    began, ended = profiled.events()[0].time_range.start, max(e.time_range.end for e in profiled.events())
    with Traffic() as traffic:
        step()
    whole = ended - began
    return {
        "products": products / whole,
        "attention": attention / whole,
        "others": others / whole,
        "operations": traffic.operations,
        "bytes": traffic.bytes,
    }


def row(name: str, repetitions: int) -> dict[str, Any]:
    """One work."""
    work = next(entry.work for entry in ENTRIES if entry.work.name == name)
    runtime = local_runtime("auto")
    once = repetition(work, load_policy(model_folder(SIZES[work.size]), runtime), runtime)
    once()
    found = {"name": name, "seconds": spread([once()["processor_seconds"] for _ in range(repetitions)]), **spent(once)}
    print(f"{name:24s} {found['seconds']['median']:6.2f} s {found['products']:5.0%} {found['others']:5.0%}", flush=True)
    return found


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="the processor core that is used (0)")
    asked = parser.parse_args()
    os.sched_setaffinity(0, [asked.core])
    torch.set_num_threads(1)
    stored = {"rows": [row(name, asked.repetitions) for name in NAMES], "machine": facts([asked.core])}
    FILE.write_text(json.dumps(stored, indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
