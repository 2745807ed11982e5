"""What contestants may choose: every candidate is tried on every work, and they compete with the fastest.

Each is tried by itself first, and those that come close to the fastest then take turns, as what one process measures
now another may not measure an hour later. ``python -m benchmarks.run --tune`` does it and keeps all times in
``results/peer_settings.json`` and ``results/our_settings.json``; ``make bench`` takes the settings from there. This
library has one thing to choose where it trains: whether layers are compiled. Sampling has its defaults.

No candidates, because they are slower, change the numbers, or fail: gradient checkpointing (TRL's default); float32;
packing and padding-free batches, which without FlashAttention are one long row under a mask, five to twelve times as
slow; a static cache, which raises an error under autocast (torch 2.13, transformers 5.23); continuous batching in
``GRPOTrainer``, which turns the weights that are trained into bfloat16 for good. Where TRL compiles, it compiles
training passes alone: ``generate`` runs the model as it is. vLLM compiles unless ``enforce_eager`` is on, for which it
needs a C++ compiler; where there is none, tuning leaves these candidates out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.contestants.work import Kind, Work
from benchmarks.harness import HERE, ContestantFailed

EVERYTHING = 1 << 20
"""Rows per pass: the whole step in one."""
TOKENS_PER_PASS = 1 << 15
"""Attention by products keeps a matrix per head, row and layer; more long rows than this would not fit into 16 GiB."""

FINALISTS, CLOSE = 3, 1.25
"""Candidates that take turns, at most, and how many times as long as the fastest they may have taken alone."""

Settings = Mapping[str, Any]


class Trial(Protocol):
    """How long a contestant takes for a repetition of a work, in seconds."""

    def alone(self, work: Work, settings: Settings) -> float:
        """With these settings.

        Raises:
            ContestantFailed: it cannot have them.
        """
        ...

    def in_turns(self, work: Work, settings: Sequence[Settings]) -> list[float]:
        """With each of these."""
        ...


@dataclass(frozen=True)
class Choice:
    """What somebody may choose between.

    Args:
        file: what was tried, and how long it took.
        candidates: by kind of work; of a kind without any, the defaults.
    """

    file: Path
    candidates: Mapping[Kind, tuple[Settings, ...]]


TRL_WITH_SAMPLING: tuple[Settings, ...] = (
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
)
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
        "grpo": TRL_WITH_SAMPLING,
        "uft": TRL_WITH_SAMPLING,
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
    tried = stored(choice).get(shape(work), {"tried": []})["tried"]
    last = [one for one in tried if one["in_turns"] is not None]
    worked = last or [one for one in tried if one["seconds"] is not None]
    if not worked:
        return possible(work, choice)[0]
    fastest: Settings = min(worked, key=lambda one: one["in_turns" if last else "seconds"])["settings"]
    return fastest


def shape(work: Work) -> str:
    """What works have in common that have the same settings: everything but the rewards."""
    return (
        f"{work.kind} {work.size}, {work.prompt_tokens} + {work.completion_tokens}, {work.prompts} × {work.completions}"
    )


def stored(choice: Choice) -> dict[str, dict[str, Any]]:
    """By shape what was tried, and where; nothing before the first tuning."""
    return json.loads(choice.file.read_text()) if choice.file.exists() else {}


def tune(works: Sequence[Work], trial: Trial, machine: Mapping[str, Any], choice: Choice) -> None:
    """Try every candidate on every work that has several, of each shape the first, and keep how long it took."""
    first: dict[str, Work] = {}
    for work in works:
        first.setdefault(shape(work), work)
    for name, work in first.items():
        if len(possible(work, choice)) == 1:
            continue
        alone = [(one, _attempt(work, one, trial)) for one in possible(work, choice)]
        tried = [{"settings": dict(one), "seconds": seconds, "in_turns": None} for one, seconds in alone]
        let_take_turns(work, tried, trial)
        choice.file.parent.mkdir(exist_ok=True)
        found = {**stored(choice), name: {"tried": tried, "machine": dict(machine)}}
        choice.file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def let_take_turns(work: Work, tried: Sequence[dict[str, Any]], trial: Trial) -> None:
    """Note in turns how long those take that came close to the fastest, if there are several."""
    worked = sorted((one for one in tried if one["seconds"] is not None), key=lambda one: one["seconds"])
    close = [one for one in worked[:FINALISTS] if one["seconds"] <= CLOSE * worked[0]["seconds"]]
    if len(close) > 1:
        for one, seconds in zip(close, trial.in_turns(work, [one["settings"] for one in close]), strict=True):
            one["in_turns"] = seconds


def possible(work: Work, choice: Choice) -> list[Settings]:
    """The candidates that cut the step into equal passes, none of them too large for memory."""
    candidates: tuple[Settings, ...] = choice.candidates.get(work.kind, ({},))
    return [one for one in candidates if "rows_per_pass" not in one or _fits(work, one["rows_per_pass"])]


def _fits(work: Work, rows_per_pass: int) -> bool:
    rows = min(rows_per_pass, work.rows)
    tokens = rows * (work.prompt_tokens + work.completion_tokens)
    in_parts = rows_per_pass == EVERYTHING or rows_per_pass < work.rows
    return in_parts and work.rows % rows == 0 and tokens <= TOKENS_PER_PASS


def _attempt(work: Work, settings: Settings, trial: Trial) -> float | None:
    """Seconds of a repetition; ``None`` where the contestant fails with these settings."""
    try:
        return trial.alone(work, settings)
    except ContestantFailed:
        return None
