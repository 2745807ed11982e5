"""What is measured: the works, who does them, and what the ratio ought to be.

Short sequences have 26 + 19 = 45 tokens, long ones 768 + 256 = 1,024 (896 + 128 at 100M). The number of sequences is
as large as keeps a step of the slowest contestant below about 30 seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contestants.work import Kind, Work
from benchmarks.models import SIZES

SHORT, LONG, LONGER_PROMPT = (26, 19), (768, 256), (896, 128)
HINT = 8
"""Leading tokens of a short completion that unified fine-tuning is given."""


@dataclass(frozen=True)
class Entry:
    """A work in the programme.

    Args:
        work: what is timed.
        wanted: how many times as fast as the peer this library ought to be; ``None`` where nothing was promised.
        quick: whether ``make bench-quick`` measures it.
    """

    work: Work
    wanted: float | None = None
    quick: bool = False


def work(kind: Kind, size: str, lengths: tuple[int, int], prompts: int, completions: int = 1, live: int = 0) -> Work:
    """A work with its name."""
    what = kind if kind != "grpo" else "grpo-dense" if live == prompts else "grpo-sparse"
    length = "short" if lengths == SHORT else "long"
    hint = HINT if kind == "uft" else 0
    return Work(
        f"{what}-{size}-{length}", kind, size, SIZES[size].vocabulary, *lengths, prompts, completions, hint, live
    )


def dense(size: str, lengths: tuple[int, int], prompts: int, completions: int) -> Work:
    """Every group has variance."""
    return work("grpo", size, lengths, prompts, completions, prompts)


def sparse(size: str, lengths: tuple[int, int], prompts: int, completions: int) -> Work:
    """One group in twenty has variance."""
    return work("grpo", size, lengths, prompts, completions, round(prompts / 20))


ENTRIES = (
    Entry(work("sft", "1M", SHORT, 256), 4.0, quick=True),
    Entry(work("sft", "1M", LONG, 8)),
    Entry(work("sft", "10M", SHORT, 128)),
    Entry(work("sft", "10M", LONG, 4)),
    Entry(work("sft", "100M", SHORT, 32), 1.3, quick=True),
    Entry(work("sft", "100M", LONGER_PROMPT, 1)),
    Entry(dense("1M", SHORT, 64, 8), 3.0, quick=True),
    Entry(dense("1M", LONG, 20, 2), 3.0),
    Entry(dense("10M", SHORT, 40, 4), 3.0),
    Entry(dense("10M", LONG, 4, 2), 3.0),
    Entry(dense("100M", SHORT, 20, 2), 3.0),
    Entry(sparse("1M", SHORT, 64, 8), 6.0, quick=True),
    Entry(sparse("1M", LONG, 20, 2), 6.0),
    Entry(sparse("10M", SHORT, 40, 4), 6.0),
    Entry(sparse("100M", SHORT, 20, 2), 6.0),
    Entry(work("sampling", "1M", SHORT, 64, 8), 2.0, quick=True),
    Entry(work("sampling", "1M", LONG, 8, 8), 2.0),
    Entry(work("sampling", "10M", SHORT, 32, 8)),
    Entry(work("sampling", "10M", LONG, 4, 8)),
    Entry(work("sampling", "100M", SHORT, 8, 8), 1.0, quick=True),
    Entry(work("sampling", "100M", LONGER_PROMPT, 1, 8), 1.0),
    Entry(work("uft", "1M", SHORT, 64, 8, 64), quick=True),
    Entry(work("uft", "10M", SHORT, 40, 4, 40)),
)


def peer(kind: Kind) -> str:
    """Whom this library is measured against."""
    return "vllm" if kind == "sampling" else "trl"
