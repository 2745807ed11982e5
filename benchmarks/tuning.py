"""What contestants may choose: every candidate is tried on every work, and they compete with the fastest.

``python -m benchmarks.run --tune`` does it and keeps all times in ``results/peer_settings.json`` and
``results/our_settings.json``; ``make bench`` takes the settings from there. This library has one thing to choose where
it trains: whether layers are compiled. Sampling has its defaults.

No candidates, because they are slower, change the numbers, or fail: gradient checkpointing (TRL's default); float32;
packing and padding-free batches, which without FlashAttention are one long row under a mask, five to twelve times as
slow; a static cache, which raises an error under autocast (torch 2.13, transformers 5.23); continuous batching in
``GRPOTrainer``, which turns the weights that are trained into bfloat16 for good. Where TRL samples, a compiled model
samples as well. vLLM compiles unless ``enforce_eager`` is on, for which it needs a C++ compiler; where there is none,
tuning leaves these candidates out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.contestants.work import Kind, Work
from benchmarks.harness import HERE, ContestantFailed

EVERYTHING = 1 << 20
"""Rows per pass: the whole step in one."""
TOKENS_PER_PASS = 1 << 15
"""Attention by products keeps a matrix per head, row and layer; more long rows than this would not fit into 16 GiB."""

Settings = Mapping[str, Any]
Seconds = Callable[[Work, Settings], float]
"""How long a contestant takes for a repetition of the work with these settings."""


@dataclass(frozen=True)
class Choice:
    """What somebody may choose between.

    Args:
        file: what was tried, and how long it took.
        candidates: by kind of work; of a kind without any, the defaults.
    """

    file: Path
    candidates: Mapping[Kind, tuple[Settings, ...]]


PEERS = Choice(
    HERE / "results" / "peer_settings.json",
    {
        "sft": (
            {"attention": "eager", "rows_per_pass": EVERYTHING},
            {"attention": "eager", "rows_per_pass": 64},
            {"attention": "sdpa", "rows_per_pass": EVERYTHING},
            {"attention": "eager", "rows_per_pass": EVERYTHING, "torch_compile": True},
            {"attention": "sdpa", "rows_per_pass": EVERYTHING, "torch_compile": True},
        ),
        "grpo": (
            {"attention": "eager", "rows_per_pass": EVERYTHING},
            {"attention": "eager", "rows_per_pass": 128},
            {"attention": "eager", "rows_per_pass": 32},
            {"attention": "eager", "rows_per_pass": 8},
            {"attention": "sdpa", "rows_per_pass": EVERYTHING},
            {"attention": "sdpa", "rows_per_pass": 8},
            {"attention": "eager", "rows_per_pass": EVERYTHING, "torch_compile": True},
            {"attention": "eager", "rows_per_pass": 32, "torch_compile": True},
            {"attention": "eager", "rows_per_pass": 8, "torch_compile": True},
            {"attention": "sdpa", "rows_per_pass": EVERYTHING, "torch_compile": True},
            {"attention": "sdpa", "rows_per_pass": 8, "torch_compile": True},
        ),
        "uft": (
            {"attention": "eager", "rows_per_pass": EVERYTHING},
            {"attention": "eager", "rows_per_pass": 128},
            {"attention": "sdpa", "rows_per_pass": EVERYTHING},
            {"attention": "eager", "rows_per_pass": EVERYTHING, "torch_compile": True},
            {"attention": "eager", "rows_per_pass": 128, "torch_compile": True},
        ),
        "sampling": (
            {"enforce_eager": True, "max_num_seqs": 512},
            {"enforce_eager": True, "max_num_seqs": 128},
            {"enforce_eager": False, "max_num_seqs": 512},
            {"enforce_eager": False, "max_num_seqs": 128},
        ),
    },
)


LAYERS: tuple[Settings, ...] = ({"layers": "eager"}, {"layers": "compiled"})
OURS = Choice(HERE / "results" / "our_settings.json", {"sft": LAYERS, "grpo": LAYERS, "uft": LAYERS})


def settings_of(work: Work, choice: Choice) -> Settings:
    """The fastest of those that were tried, or the first candidate for a work that was never tuned."""
    tried = stored(choice).get(shape(work), [])
    worked = [one for one in tried if one["seconds"] is not None]
    if not worked:
        return possible(work, choice)[0]
    fastest: Settings = min(worked, key=lambda one: one["seconds"])["settings"]
    return fastest


def shape(work: Work) -> str:
    """What the times depend on: everything but the rewards."""
    return (
        f"{work.kind} {work.size}, {work.prompt_tokens} + {work.completion_tokens}, {work.prompts} × {work.completions}"
    )


def stored(choice: Choice) -> dict[str, list[dict[str, Any]]]:
    """By shape what was tried; nothing before the first tuning."""
    return json.loads(choice.file.read_text()) if choice.file.exists() else {}


def tune(works: Sequence[Work], seconds: Seconds, choice: Choice) -> None:
    """Try every candidate on every work that has several, and keep how long it took."""
    for name, work in {shape(work): work for work in works}.items():
        if len(possible(work, choice)) == 1:
            continue
        tried = [{"settings": dict(one), "seconds": _attempt(work, one, seconds)} for one in possible(work, choice)]
        choice.file.parent.mkdir(exist_ok=True)
        choice.file.write_text(json.dumps({**stored(choice), name: tried}, indent=1, ensure_ascii=False) + "\n")


def possible(work: Work, choice: Choice) -> list[Settings]:
    """The candidates that cut the step into equal passes, none of them too large for memory."""
    candidates: tuple[Settings, ...] = choice.candidates.get(work.kind, ({},))
    return [one for one in candidates if "rows_per_pass" not in one or _fits(work, one["rows_per_pass"])]


def _fits(work: Work, rows_per_pass: int) -> bool:
    rows = min(rows_per_pass, work.rows)
    tokens = rows * (work.prompt_tokens + work.completion_tokens)
    in_parts = rows_per_pass == EVERYTHING or rows_per_pass < work.rows
    return in_parts and work.rows % rows == 0 and tokens <= TOKENS_PER_PASS


def _attempt(work: Work, settings: Settings, seconds: Seconds) -> float | None:
    """Seconds of a repetition; ``None`` where the contestant fails with these settings."""
    try:
        return seconds(work, settings)
    except ContestantFailed:
        return None
