"""What each decision for speed is worth on this machine, side by side in one process.

``python -m benchmarks.decisions`` prints and stores a row per decision: seconds of a step or a call with it, seconds
without it, and their ratio, on the works of ``works.py`` at 1M parameters and short sequences. The two sides take
turns, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.contestants.with_posttrain import repetition, stage
from benchmarks.contestants.work import Work
from benchmarks.harness import HERE, ratios, spread
from benchmarks.machine import facts
from benchmarks.models import SIZES, model_folder
from benchmarks.page import write_page
from benchmarks.works import ENTRIES
from posttrain.loading import load_policy
from posttrain.runtime import LocalRuntime, local_runtime

FILE = HERE / "results" / "decisions.json"
Measured = Callable[[], float]
LARGE_VOCABULARY = 32_768


def work(name: str) -> Work:
    """A work of the programme."""
    return next(entry.work for entry in ENTRIES if entry.work.name == name)


def seconds(of: Work, runtime: LocalRuntime, attention: str | None = None) -> Measured:
    """A function that does the work once and says how long the processor took."""
    policy = load_policy(model_folder(dataclasses.replace(SIZES[of.size], vocabulary=of.vocabulary)), runtime)
    if attention is not None:
        policy.model.set_attn_implementation(attention)
    once = repetition(of, policy, runtime)
    return lambda: once()["processor_seconds"]


def instead(measured: Measured, place: str, *, put: object) -> Measured:
    """The same with something else in the place of a decision."""

    def replaced() -> float:
        with patch(place, put):
            return measured()

    return replaced


def elsewhere(name: str, keeps: bool) -> Measured:
    """A supervised work in a process of its own, which keeps the memory that it frees or leaves that to glibc."""
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, name, keeps), daemon=True).start()

    def asked() -> float:
        ours.send(None)
        return float(ours.recv())

    return asked


def _serve(line: Connection, name: str, keeps: bool) -> None:
    torch.set_num_threads(1)
    with nullcontext() if keeps else patch("posttrain.runtime.keep_freed_memory"):
        measured = seconds(work(name), local_runtime("auto"))
    with suppress(EOFError):  # nobody asks any more
        while True:
            line.recv()
            line.send(measured())


def in_small_passes(of: Work, runtime: LocalRuntime, tokens: int) -> Measured:
    """The work's step in micro-batches of fewer tokens."""

    def smaller(*arguments: Any) -> Any:
        return dataclasses.replace(stage(*arguments), tokens_per_microbatch=tokens)

    with patch("benchmarks.contestants.with_posttrain.stage", smaller):
        return seconds(of, runtime)


def by_one_cumulative_sum(logits: Tensor, temperature: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Sampling by the running sum over the whole vocabulary."""
    logprobs = torch.log_softmax(logits / temperature, -1)
    cumulative = logprobs.exp().cumsum(-1)
    token = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)
    token = token.clamp(max=logits.shape[-1] - 1)
    return token[:, 0], logprobs.gather(-1, token)[:, 0]


def by_log_softmax(logits: Tensor, tokens: Tensor) -> Tensor:
    """The log-probabilities of tokens from those of the whole vocabulary."""
    return torch.log_softmax(logits, -1).gather(-1, tokens[:, None])[:, 0]


def all_read(measured: Measured) -> Measured:
    """The same with every token through all of the last layer."""
    return instead(measured, "posttrain.last_layer.WORTH_LEAVING", put=2.0)


def paired(name: str, with_it: Measured, without_it: Measured, rounds: int) -> dict[str, Any]:
    """Let both take turns."""
    with_it(), without_it()
    first, second = [], []
    for _ in range(rounds):
        first.append(with_it())
        second.append(without_it())
    row = {"name": name, "with": spread(first), "without": spread(second), "ratio": ratios(first, second)}
    times = f"{row['with']['median']:8.3f} s {row['without']['median']:8.3f} s"
    print(f"{name:68s} {times} {row['ratio']['median']:6.2f} x", flush=True)
    return row


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Every decision."""
    auto, full = local_runtime("auto"), local_runtime("float32")
    yield from reinforced(auto, full, rounds)
    yield from sampled(auto, full, rounds)
    yield from supervised(auto, full, rounds)


def reinforced(auto: LocalRuntime, full: LocalRuntime, rounds: int) -> Iterator[dict[str, Any]]:
    """Decisions about a reinforced step."""
    dense, sparse = work("grpo-dense-1M-short"), work("grpo-sparse-1M-short")
    step = seconds(sparse, auto)
    every = instead(step, "posttrain.objectives.clipped.ClippedPolicy.inert", put=lambda self, sequence: False)
    yield paired("sparse step: sequences without any gradient are skipped", step, every, rounds)
    step = seconds(dense, auto)
    apart = instead(step, "posttrain.forward.can_share", put=lambda model: False)
    yield paired("dense step: a group's common beginning passes once", step, apart, rounds)
    yield paired("dense step: the last feed-forward leaves out what nobody reads", step, all_read(step), rounds)
    yield paired("dense step: bfloat16 products", step, seconds(dense, full), rounds)


def sampled(auto: LocalRuntime, full: LocalRuntime, rounds: int) -> Iterator[dict[str, Any]]:
    """Decisions about sampling."""
    groups = work("sampling-1M-short")
    call = seconds(groups, auto)
    alone = seconds(dataclasses.replace(groups, prompts=groups.prompts * groups.completions, completions=1), auto)
    yield paired("sampling: one prefill per group", call, alone, rounds)
    yield paired("sampling: a group reads its prompt's keys at once", call, seconds(groups, auto, "sdpa"), rounds)
    as_it_is = instead(seconds(groups, auto), "posttrain.engines.huggingface.Twin", put=OfItself)
    yield paired("sampling: a twin of the weights in bfloat16", call, as_it_is, rounds)
    yield paired("sampling: bfloat16 products", call, seconds(groups, full), rounds)
    few = work("sampling-100M-short")
    as_they_lie = instead(seconds(few, auto), "posttrain.engines.packed.can_be_packed", put=lambda *layer: False)
    yield paired("sampling with 100M parameters: weights are packed", seconds(few, auto), as_they_lie, rounds)
    single = instead(seconds(few, auto), "posttrain.engines.packed.SIBLINGS", put=())
    name = "the same: queries, keys and values are one product, and so are gate and up"
    yield paired(name, seconds(few, auto), single, rounds)
    drawn = "posttrain.engines.huggingface.sample"
    yield paired(
        "sampling: tokens are drawn in two levels", call, instead(call, drawn, put=by_one_cumulative_sum), rounds
    )
    large = dataclasses.replace(groups, vocabulary=LARGE_VOCABULARY, prompts=groups.prompts // 8)
    call = seconds(large, auto)
    yield paired(
        f"the same with a vocabulary of {LARGE_VOCABULARY:,}",
        call,
        instead(call, drawn, put=by_one_cumulative_sum),
        rounds,
    )


def supervised(auto: LocalRuntime, full: LocalRuntime, rounds: int) -> Iterator[dict[str, Any]]:
    """Decisions about a supervised step."""
    short = work("sft-1M-short")
    step = seconds(short, auto)
    yield paired("supervised step: bfloat16 products", step, seconds(short, full), rounds)
    yield paired("supervised step: passes of 8,192 tokens, not 1,024", step, in_small_passes(short, auto, 1024), rounds)
    yield paired("supervised step: the last feed-forward leaves out what nobody reads", step, all_read(step), rounds)
    powers = instead(step, "posttrain.token_logprobs.exp_", put=torch.exp_)
    yield paired("supervised step: exponentials are powers of two", step, powers, rounds)
    keeping, leaving = elsewhere(short.name, keeps=True), elsewhere(short.name, keeps=False)
    yield paired("supervised step: freed memory is kept", keeping, leaving, rounds)
    compiled = local_runtime("auto", layers="compiled")
    yield paired("supervised step: layers are compiled", seconds(short, compiled), step, rounds)
    wide = work("sft-100M-short")
    yield paired("the same with 100M parameters", seconds(wide, compiled), seconds(wide, auto), rounds)
    yield paired("supervised step: attention in blocks, not fused", step, seconds(short, auto, "sdpa"), rounds)
    yield paired("supervised step: attention in blocks, not plain", step, seconds(short, auto, "eager"), rounds)
    large = dataclasses.replace(short, vocabulary=LARGE_VOCABULARY, prompts=short.prompts // 16)
    step = seconds(large, auto)
    whole = instead(step, "posttrain.forward.token_logprobs", put=by_log_softmax)
    name = f"with a vocabulary of {LARGE_VOCABULARY:,}"
    yield paired(f"{name}: a gradient that reads the vocabulary once", step, whole, rounds)
    chunked = instead(step, "posttrain.forward.LOGITS_HELD", put=0)
    yield paired(f"{name}: logits are held up to 64 MiB, not computed twice", step, chunked, rounds)
    at_once = instead(step, "posttrain.pieces.NUMBERS_PER_PIECE", put={})
    yield paired(f"{name}: quantities of logits are computed in pieces", step, at_once, rounds)


class OfItself:
    """No twin: autocast turns activations and back at every product."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def is_of(self, policy: Any) -> bool:
        """Whether it is this policy."""
        return self.policy is policy

    def fill(self) -> None:
        """Nothing."""


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
