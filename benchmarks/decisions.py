"""What each decision for speed is worth on this machine, side by side in one process.

``python -m benchmarks.decisions`` prints and stores a row per decision: seconds with it, seconds without it, and their
ratio. The two sides take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.harness import HERE, ratios, spread
from benchmarks.machine import facts
from benchmarks.page import write_page
from posttrain.attention import BLOCKED
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.loop import one_step, start
from posttrain.methods import rft
from posttrain.policy import Policy
from posttrain.pretraining.corpora import compact
from posttrain.pretraining.pretrain import stage as pretraining_stage
from posttrain.pretraining.size import Size
from posttrain.rewards.verified import Verified
from posttrain.runtime import LocalRuntime, local_runtime
from posttrain.settings.presets import preset
from posttrain.settings.tasks import build_task
from posttrain.stage import Problems, Stage
from posttrain.types import Sampling

FILE = HERE / "results" / "decisions.json"
MODEL = Path(__file__).parent.parent / "src" / "posttrain" / "embedded" / "model"
SETTINGS = rft.Reinforcement(
    prompts_per_step=32, rollouts_per_prompt=8, groups_per_update=None, learning_rate=0.0, max_new_tokens=12,
    kl_coefficient=0.0, entropy=0.0, tokens_per_microbatch=4096,
)  # fmt: skip


def stage() -> Stage:
    """The reinforced stage of the default task, frozen at learning rate 0 so that every step is alike."""
    task = build_task(dict(preset("tiny").task or {}))
    problems = Problems(task.examples("train", 200, 0), task.verify, Verified(task.verify))
    return rft.recipe(problems, steps=1, reinforcement=SETTINGS).stages[0]


def step_seconds(policy: Policy, runtime: LocalRuntime, tokens_per_microbatch: int) -> Callable[[], float]:
    """A function that takes one training step and says how long it took."""
    session = start(dataclasses.replace(stage(), tokens_per_microbatch=tokens_per_microbatch), policy, 0)

    def measured() -> float:
        began = time.perf_counter()
        one_step(session, runtime)
        return time.perf_counter() - began

    return measured


def without_skipping(policy: Policy, runtime: LocalRuntime) -> Callable[[], float]:
    """The same step with every sequence sent through the model."""
    measured = step_seconds(policy, runtime, SETTINGS.tokens_per_microbatch)

    def unskipped() -> float:
        with patch("posttrain.objectives.clipped.ClippedPolicy.inert", lambda self, sequence: False):
            return measured()

    return unskipped


def without_sharing(policy: Policy, runtime: LocalRuntime) -> Callable[[], float]:
    """The same step with every sequence of a group passed by itself."""
    measured = step_seconds(policy, runtime, SETTINGS.tokens_per_microbatch)

    def unshared() -> float:
        with patch("posttrain.forward.can_share", lambda model: False):
            return measured()

    return unshared


def pretraining_seconds(runtime: LocalRuntime, attention: str) -> Callable[[], float]:
    """One pretraining step of 128 documents on the embedded model's weights, with the given attention kernels."""
    policy = load_policy(MODEL, runtime)
    policy.model.set_attn_implementation(attention)
    session = start(pretraining_stage(Size(steps=1000), compact.write), policy, 0)

    def measured() -> float:
        began = time.perf_counter()
        one_step(session, runtime)
        return time.perf_counter() - began

    return measured


def generation_seconds(policy: Policy, copies: int, attention: str = BLOCKED) -> Callable[[], float]:
    """Sampling 8 completions of each of 32 prompts, the prompt run once per group, or once per completion."""
    policy.model.set_attn_implementation(attention)
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    task = build_task(dict(preset("tiny").task or {}))
    prompts = [policy.text.encode(e.prompt) for e in task.examples("train", 32, 0)]

    def measured() -> float:
        began = time.perf_counter()
        repeated = [prompt for prompt in prompts for _ in range(copies)]
        engine.generate(repeated, Sampling(1.0, 12), 8 // copies, torch.Generator().manual_seed(0))
        return time.perf_counter() - began

    return measured


def paired(name: str, with_it: Callable[[], float], without_it: Callable[[], float], rounds: int) -> dict[str, Any]:
    """Let both take turns."""
    with_it(), without_it()
    first, second = [], []
    for _ in range(rounds):
        first.append(with_it())
        second.append(without_it())
    row = {"name": name, "with": spread(first), "without": spread(second), "ratio": ratios(first, second)}
    seconds = f"{row['with']['median']:8.3f} s {row['without']['median']:8.3f} s"
    print(f"{name:58s} {seconds} {row['ratio']['median']:6.2f} x", flush=True)
    return row


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Every decision."""
    full, auto = local_runtime("float32"), local_runtime("auto")
    policy = load_policy(MODEL, full)
    ours = step_seconds(policy, full, 4096)
    yield paired("sequences without any gradient are skipped", ours, without_skipping(policy, full), rounds)
    yield paired("micro-batches of 4,096 tokens against 1,024", ours, step_seconds(policy, full, 1024), rounds)
    yield paired("a group's sequences pass together", ours, without_sharing(policy, full), rounds)
    yield paired("one prefill per group", generation_seconds(policy, 1), generation_seconds(policy, 8), rounds)
    apart = generation_seconds(load_policy(MODEL, full), 1, "sdpa")
    yield paired("sampling: prompts shared in attention", generation_seconds(policy, 1), apart, rounds)
    if auto.autocast is not None:
        fast = load_policy(MODEL, auto)
        yield paired("bfloat16 products, reinforced step", step_seconds(fast, auto, 4096), ours, rounds)
        blocks = pretraining_seconds(auto, BLOCKED)
        yield paired("bfloat16 products, pretraining step", blocks, pretraining_seconds(full, BLOCKED), rounds)
        fused, plain = pretraining_seconds(auto, "sdpa"), pretraining_seconds(auto, "eager")
        yield paired("bfloat16: attention in blocks, not fused, pretraining", blocks, fused, rounds)
        yield paired("bfloat16: attention in blocks, not plain, pretraining", blocks, plain, rounds)
        yield paired("bfloat16 products, sampling", generation_seconds(fast, 1), generation_seconds(policy, 1), rounds)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, default=0, help="the processor core that is used (0)")
    asked = parser.parse_args()
    os.sched_setaffinity(0, [asked.core])
    torch.set_num_threads(1)
    stored = {"rows": list(rows(asked.rounds)), "machine": facts([asked.core])}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(stored, indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
