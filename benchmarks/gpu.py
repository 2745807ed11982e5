"""What a GPU's limits leave to be gained: ``python -m benchmarks.gpu``, on a machine that has one.

A model of half a billion random weights. A supervised step against the fastest large bfloat16 product that the device
was seen to do; sampling against the time that its reads would take at the rate at which the device was seen to copy;
a reinforced step against the same step around ``generate`` of transformers, the two taking turns; and what training
passes gain from compiled layers and from sharing what the sequences of a group have in common.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.contestants.with_generate import Generating
from benchmarks.contestants.with_posttrain import repetition, training
from benchmarks.contestants.work import Work
from benchmarks.harness import HERE
from benchmarks.limits import fastest, needed
from benchmarks.machine import facts
from benchmarks.models import SIZES, Size, model_folder
from benchmarks.page import write_page
from benchmarks.works import dense, work
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.runtime import LocalRuntime, local_runtime

FILE = HERE / "results" / "gpu.json"
ROUNDS, WARM_UP = 5, 2
PRODUCT, COPIED_BYTES = 8192, 1 << 32
"""Rows and columns of the product, and what is copied, that say what the device can do."""


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Of the fastest repetition, until the device has done it."""

    def done() -> None:
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return fastest(done)


def operations_per_second(device: torch.device, side: int = PRODUCT) -> float:
    """Of a bfloat16 product of square matrices."""
    first, second = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2.0 * side**3 / seconds(lambda: first @ second, device)


def bytes_per_second(device: torch.device, size: int = COPIED_BYTES) -> float:
    """Read and written by a copy, both counted."""
    source = torch.ones(size // 2, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return size / seconds(lambda: target.copy_(source), device)


def rounds(device: torch.device, *measures: Callable[[], object]) -> list[list[float]]:
    """Seconds of each in every round, taking turns, until the device has done it."""

    def once(measure: Callable[[], object]) -> float:
        began = time.perf_counter()
        measure()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    return [[once(measure) for measure in measures] for _ in range(WARM_UP + ROUNDS)][WARM_UP:]


def supervised(size: Size, policy: Policy, runtime: LocalRuntime, one: Work) -> dict[str, Any]:
    """Operations of the step's products per second, as a share of the device's."""
    took = [own for (own,) in rounds(runtime.device, repetition(one, policy, runtime))]
    operations = sum(product.operations for product in needed(one, size).products)
    peak = operations_per_second(runtime.device)
    share = operations / statistics.median(took) / peak
    return {"work": one.name, "seconds": took, "operations": operations, "peak": peak, "share": share}


def sampled(size: Size, policy: Policy, runtime: LocalRuntime, one: Work) -> dict[str, Any]:
    """The least time of its reads, of weights, keys and values, as a share of the time it took."""
    took = [own for (own,) in rounds(runtime.device, repetition(one, policy, runtime))]
    counted, bandwidth = needed(one, size), bytes_per_second(runtime.device)
    bound = counted.turns_count * counted.turn_bytes / bandwidth
    share = bound / statistics.median(took)
    return {"work": one.name, "seconds": took, "bound": bound, "bandwidth": bandwidth, "share": share}


def reinforced(policy: Policy, runtime: LocalRuntime, one: Work) -> dict[str, Any]:
    """How many times as long the step takes around ``generate``."""
    steps = training(one, policy, runtime), training(one, policy, runtime, engine=Generating())
    took = rounds(runtime.device, *steps)
    ratios = [theirs / own for own, theirs in took]
    return {"work": one.name, "seconds": took, "ratios": ratios, "ratio": statistics.median(ratios)}


def compared(device: torch.device, name: str, decided: Callable[[], object], other: Callable[[], object]) -> Any:
    """How many times as long the same work takes without a decision."""
    took = rounds(device, decided, other)
    ratios = [without / with_it for with_it, without in took]
    return {"name": name, "seconds": took, "ratios": ratios, "ratio": statistics.median(ratios)}


def decisions(size: Size, policy: Policy, runtime: LocalRuntime, step: Work, group: Work) -> list[Any]:
    """What is decided about training passes, each against its opposite."""
    compiling = dataclasses.replace(runtime, layers="compiled")
    compiled = repetition(step, load_policy(str(model_folder(size)), compiling), compiling)
    shared = training(group, policy, runtime)

    def unshared() -> None:
        with patch("posttrain.forward.can_share", lambda model: False):
            shared()

    return [
        compared(runtime.device, "supervised step: layers are compiled", compiled, repetition(step, policy, runtime)),
        compared(runtime.device, "dense step: a group's common beginning passes once", shared, unshared),
    ]


def parts(size: Size, runtime: LocalRuntime, lengths: tuple[int, int], prompts: int) -> Iterator[dict[str, Any]]:
    """Where it is measured, then one measurement after the other, so that none is lost if a later one fails."""
    policy, device = load_policy(str(model_folder(size)), runtime), runtime.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    yield {"device": name, "torch": torch.__version__, "machine": facts(os.sched_getaffinity(0))}
    step, group = work("sft", size.name, lengths, prompts), dense(size.name, lengths, prompts, 8)
    yield {"supervised": supervised(size, policy, runtime, step)}
    yield {"sampled": sampled(size, policy, runtime, work("sampling", size.name, lengths, prompts, 8))}
    yield {"reinforced": reinforced(policy, runtime, group)}
    yield {"decisions": decisions(size, policy, runtime, step, group)}


def main() -> None:
    """Measure and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=32, help="sequences, or groups of 8, in a step (32)")
    parser.add_argument("--tokens", type=int, nargs=2, default=(128, 512), help="of prompt and completion (128 512)")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no GPU that torch can use here; `make bench` measures on a CPU")
    found: dict[str, Any] = {}
    for part in parts(SIZES["0.5B"], local_runtime("bfloat16"), tuple(given.tokens), given.prompts):
        found |= part
        FILE.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps(part), flush=True)
    write_page()


if __name__ == "__main__":
    main()
