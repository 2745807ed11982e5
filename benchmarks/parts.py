"""What a step of this library is spent on: ``python -m benchmarks.parts [--core N]``.

In every second step each operation on tensors is timed, and matrix products, fused attention included, are added up,
and all others. What the step before, without this, took longer than both is left over for the interpreter, autograd,
and views and new tensors. The last step counts the bytes that the other operations read from memory or write there.
That is what a program without fused kernels is held up by. Layers are as they are written, not compiled.

A profiler would mislead. Its thousands of small events take the places of freed tensors, so that new ones are written
to fresh pages: the step takes longer, and seems to consist of small operations.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
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
    "sampling-1M-short", "sampling-1M-long", "sampling-100M-long",
)  # fmt: skip
ATTENTION = (
    "aten::bmm", "aten::baddbmm",
    "aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
)  # fmt: skip
PRODUCTS = ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise")
Kind = Literal["attention", "product", "view", "memory", "other"]


class Watched(TorchDispatchMode):
    """Times every operation on tensors, and counts what each is given and gives.

    Args:
        counts_bytes: whether bytes are counted, between the operations.
    """

    def __init__(self, counts_bytes: bool = False) -> None:
        super().__init__()
        self._counts_bytes = counts_bytes
        self.seconds, self.operations, self.bytes = Counter[Kind](), Counter[Kind](), Counter[Kind]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and take note."""
        began = time.thread_time()
        result = func(*args, **(kwargs or {}))
        seconds = time.thread_time() - began
        kind = kind_of(func)
        self.seconds[kind] += seconds
        self.operations[kind] += 1
        if self._counts_bytes:
            self.bytes[kind] += traffic(func, args, kwargs or {}, result)
        return result

    def busy(self, kind: Kind) -> float:
        """Seconds, less what as many views take: these do nothing, so it is the price of being timed, and a little of
        the operation's own that is not its work.
        """
        asking = self.seconds["view"] / self.operations["view"]
        return self.seconds[kind] - asking * self.operations[kind]


def kind_of(func: Any) -> Kind:
    """What an operation does."""
    name = func._schema.name
    if name in ATTENTION:
        return "attention"
    if name in PRODUCTS:
        return "product"
    if func.is_view:
        return "view"
    return "memory" if "empty" in name or "view" in name or "detach" in name else "other"


def traffic(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    """Bytes that an operation reads or writes: what it is given, what it changes once more, and its results."""
    moved, given = 0, list(args) + [kwargs.get(one.name) for one in func._schema.arguments[len(args) :]]
    for argument, value in zip(func._schema.arguments, given, strict=True):
        changes = argument.alias_info is not None and argument.alias_info.is_write
        moved += sum(map(size_in_bytes, tensors_in(value))) * (2 if changes and not argument.is_out else 1)
    known = {id(t) for t in tensors_in(given)}
    return moved + sum(size_in_bytes(t) for t in tensors_in(result) if id(t) not in known)


def tensors_in(values: object) -> list[torch.Tensor]:
    """All of them."""
    return [one for one in tree_leaves(values) if isinstance(one, torch.Tensor)]


def size_in_bytes(tensor: torch.Tensor) -> int:
    """What it takes in memory; a dimension that repeats the same numbers takes nothing."""
    stored = [n for n, stride in zip(tensor.shape, tensor.stride()) if stride]
    return int(torch.Size(stored).numel()) * tensor.element_size() if tensor.numel() else 0


def shares(timed: Watched, seconds: float) -> dict[str, float]:
    """Of a step of that many seconds inside products, of attention and all, and inside other operations."""
    attention = timed.busy("attention")
    return {
        "products": (timed.busy("product") + attention) / seconds,
        "attention": attention / seconds,
        "others": timed.busy("other") / seconds,
    }


def spent(step: Callable[[], Mapping[str, float]], rounds: int) -> dict[str, Any]:
    """Processor seconds of a step, the medians of its shares, and its traffic; plain and timed steps take turns."""
    step(), step()
    seconds, found = [], []
    for _ in range(rounds):
        seconds.append(step()["processor_seconds"])
        with Watched() as timed:
            step()
        found.append(shares(timed, seconds[-1]))
    with Watched(counts_bytes=True) as counted:
        step()
    medians = {name: statistics.median(one[name] for one in found) for name in found[0]}
    traffic = {"operations": counted.operations["other"], "bytes": counted.bytes["other"]}
    return {"seconds": spread(seconds), **medians, **traffic}


def row(name: str, rounds: int) -> dict[str, Any]:
    """One work."""
    work = next(entry.work for entry in ENTRIES if entry.work.name == name)
    runtime = local_runtime("auto")
    found = spent(repetition(work, load_policy(model_folder(SIZES[work.size]), runtime), runtime), rounds)
    print(f"{name:24s} {found['seconds']['median']:6.2f} s {found['products']:5.0%} {found['others']:5.0%}", flush=True)
    return {"name": name, **found}


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="the processor core that is used (0)")
    asked = parser.parse_args()
    os.sched_setaffinity(0, [asked.core])
    torch.set_num_threads(1)
    stored = {"rows": [row(name, asked.rounds) for name in NAMES], "machine": facts([asked.core])}
    FILE.write_text(json.dumps(stored, indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
