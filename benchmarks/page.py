"""``docs/performance.md`` from ``benchmarks/results``; nothing in it is written by hand.

``python -m benchmarks.page --check`` fails if the page is not what the results give.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.works import ENTRIES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
HEAD = """# Performance

Every number on this page was measured by the command beside it and is generated from `benchmarks/results` by
`python -m benchmarks.page`. Nothing here was measured on more than one core, or with weights that were trained: the
models are Qwen2 with random weights, which cost as much time as any other. What was measured
[on a GPU](#on-a-gpu), and what was not, stands in a section of its own.

`make bench` measures everything, `make bench-quick` the works that say most. Contestants live in processes and
environments of their own and take turns on the same core, A B A B, so that what slows one round slows both. They get
the same model folder, texts, rewards, learning rate (0, so that every step is alike) and precision: float32 weights
with bfloat16 products in training, bfloat16 weights in vLLM. Every sequence has the length that is stated: the models
cannot sample their end-of-sequence token, so nothing ends early and nothing is padding.

Peers compete with the fastest of the settings that are listed [below](#settings-of-the-peers); this library with its
defaults.
"""
ON_A_GPU = """`make bench-gpu` measures half a billion parameters against what the device can do: a supervised step
against its bfloat16 products, sampling against the reads of weights, keys and values, a reinforced step against the
same around `generate`. Written for GPUs alone is this: steps of decoding are recorded as CUDA graphs, whose logic the
tests check on CPUs with a recorder of tensor operations; the prompts of a group are read once in sampling; whole passes
are left to the fused attention kernels; which rows have ended is looked up at every 16th token only. What the sequences
of a group have in common is not shared in training there.
"""
KINDS = {
    "sft": (
        "Supervised fine-tuning",
        "One update on that many sequences, loss on the completions. The rate counts all tokens.",
    ),
    "grpo-dense": (
        "Reinforcement, every group alive",
        "One step of GRPO: sampling, rewards, one update; no KL penalty, no entropy bonus. The rate counts sampled "
        "tokens.",
    ),
    "grpo-sparse": (
        "Reinforcement, one group in twenty alive",
        "The same where all completions of the other groups get the same reward. At 10M with long sequences a step "
        "with one live group in twenty would take TRL longer than 30 seconds, so it is not measured.",
    ),
    "uft": (
        "Unified fine-tuning",
        "One step that continues hints of 8 tokens and adds their likelihood. In TRL it is a rollout function and a "
        "subclass of `GRPOTrainer` (`benchmarks/contestants/with_trl.py`).",
    ),
    "sampling": (
        "Sampling alone",
        "Groups of 8 completions, against vLLM for CPUs on the same core. This library records the log-probability of "
        "every sampled token; vLLM is not asked to.",
    ),
}
SPENT = """`python -m benchmarks.parts`: the shares of a step inside matrix products, inside all other operations on
tensors, and outside of both, in the interpreter and autograd. Operations other than products read their tensors from
memory and write them back one by one; how many they are, and how much they move, is counted. What keeps a supervised
step of the smallest model from its products' time are these, not the products; what a compiler that fuses them gains
stands under [decisions](#what-each-decision-is-worth).
"""
OF_FILES = {"reading_s": "reading, s", "fitting_s": "looking whether all fit, s"}
"""Columns of the axis that reads a file."""
READING = """*Ratio* is the peer's time over this library's, the median over rounds with the smallest and largest round.
*Least* is the time of the matrix products and reads that the work cannot do without, each timed alone at its own shape
(`benchmarks/limits.py`); *attained* is its share of this library's time. *Busy* is the share of the time in which the
contestants had the core to themselves; below 100% something else was running, and only ratios mean anything.
"""


def write_page() -> None:
    """Write the page."""
    PAGE.write_text(page_text())


def page_text() -> str:
    """The page as the results give it."""
    found = results()
    parts = [HEAD, READING]
    for kind, (title, what) in KINDS.items():
        own = [one for one in found if one["work"]["name"].startswith(kind + "-")]
        parts += [f"## {title}", "", what, "", *(works(own) if own else ["Not measured yet."]), ""]
    parts += [
        *unreached(found),
        *spent(),
        *growth(),
        *memory(),
        *decisions(),
        *gpu(),
        *settings(found),
        *machines(found),
    ]
    return "\n".join(parts)


def results() -> list[Any]:
    """The stored works, in the programme's order."""
    files = [RESULTS / f"{entry.work.name}.json" for entry in ENTRIES]
    return [read(file) for file in files if file.exists()]


def works(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row per work."""
    lines = ["| model | tokens | sequences | ours | peer | tokens/s | ratio | wanted | least | attained | busy |"]
    lines += ["|---|---|---|---|---|---|---|---|---|---|---|"]
    return lines + [row(one) for one in found]


def row(one: Mapping[str, Any]) -> str:
    """One work."""
    work, ours, theirs = one["work"], median(one, "posttrain"), median(one, one["peer"])
    sequences = str(work["prompts"]) if work["completions"] == 1 else f"{work['prompts']} × {work['completions']}"
    ratio, least = one["ratio"], one["least"]["seconds"]
    wanted = "" if one["wanted"] is None else f"{one['wanted']:g}"
    cells = [
        work["size"], f"{work['prompt_tokens']} + {work['completion_tokens']}", sequences, f"{ours:.2f} s",
        f"{theirs:.2f} s", f"{one['tokens'] / ours:,.0f}",
        f"**{ratio['median']:.2f}** [{ratio['least']:.2f}, {ratio['most']:.2f}]", wanted, f"{least:.2f} s",
        f"{least / ours:.0%}", f"{one['busy']:.0%}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def median(one: Mapping[str, Any], contestant: str) -> float:
    """Seconds of a contestant."""
    return float(one["contestants"][contestant]["seconds"]["median"])


def unreached(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a wanted ratio was missed, what stands in the way."""
    missed = [one for one in found if one["wanted"] is not None and one["ratio"]["median"] < one["wanted"]]
    if not missed:
        return []
    lines = ["## Ratios that were not reached", ""]
    lines += ["*Most* is the ratio that a program of nothing but the least products and reads would have.", ""]
    lines += ["| work | wanted | measured | most | operations | rate of the products |", "|---|---|---|---|---|---|"]
    for one in missed:
        least, theirs = one["least"], median(one, one["peer"])
        products = least["passes"] + least["turns"]
        lines.append(
            f"| {one['work']['name']} | {one['wanted']:g} | {one['ratio']['median']:.2f} | "
            f"{theirs / least['seconds']:.1f} | {least['operations'] / 1e9:,.0f} GFLOP | "
            f"{least['operations'] / products / 1e9:,.0f} GFLOP/s |"
        )
    return [*lines, ""]


def spent() -> list[str]:
    """What a step's time goes into."""
    lines = ["## What a step is spent on", "", SPENT]
    file = RESULTS / "parts.json"
    if not file.exists():
        return [*lines, "Not measured yet.", ""]
    lines += ["| work | step | products | other operations | the rest | operations | they move |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for one in read(file)["rows"]:
        rest = max(0.0, 1 - one["products"] - one["others"])
        lines.append(
            f"| {one['name']} | {one['seconds']['median']:.2f} s | {one['products']:.0%} | {one['others']:.0%} | "
            f"{rest:.0%} | {one['operations']:,} | {one['bytes'] / 1e9:.1f} GB |"
        )
    return [*lines, ""]


def growth() -> list[str]:
    """A table per axis."""
    what = "`python -m benchmarks.growth`, the 1M model, this library alone; processor seconds."
    lines = ["## How cost grows", "", what, ""]
    file = RESULTS / "growth.json"
    if not file.exists():
        return [*lines, "Not measured yet.", ""]
    for axis in read(file).values():
        more = [column for column in OF_FILES if column in axis["rows"][0]]
        names = ["seconds", "×", "memory, MiB", *(OF_FILES[column] for column in more)]
        lines += [f"**{axis['title'].capitalize()}** ({axis['fixed']})", "", f"| | {' | '.join(names)} |"]
        lines += ["|---" * (1 + len(names)) + "|"]
        first = axis["rows"][0]["seconds"]["median"]
        lines += [
            f"| {one['value']:,} | {one['seconds']['median']:.3f} | {one['seconds']['median'] / first:.2f} | "
            f"{one['memory_mib']:,.0f} |" + "".join(f" {one[column]:,.1f} |" for column in more)
            for one in axis["rows"]
        ]
        lines.append("")
    return lines


def memory() -> list[str]:
    """What a large vocabulary costs."""
    lines = ["## Memory of a large vocabulary", ""]
    file = RESULTS / "memory.json"
    if not file.exists():
        return [*lines, "`python -m benchmarks.memory`: not measured yet.", ""]
    found = read(file)
    lines += [
        f"`python -m benchmarks.memory`: one supervised step of the smallest model with a vocabulary of "
        f"{found['vocabulary']:,}, all tokens in one pass; the most that the process ever held, in MiB. *Whole "
        "logits* is the textbook's step in PyTorch.",
        "",
    ]
    names = [name for name in found["rows"][0] if name != "tokens"]
    lines += [f"| tokens | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in found["rows"]:
        cells = ["fails" if row[name] is None else f"{row[name]['memory_mib']:,.0f}" for name in names]
        lines.append(f"| {row['tokens']:,} | {' | '.join(cells)} |")
    return [*lines, ""]


def decisions() -> list[str]:
    """What each decision for speed is worth."""
    lines = [
        "## What each decision is worth",
        "",
        "`python -m benchmarks.decisions`, 1M parameters, the works above with short sequences; processor seconds.",
        "",
    ]
    file = RESULTS / "decisions.json"
    if not file.exists():
        return [*lines, "Not measured yet.", ""]
    lines += ["| decision | with it | without it | ratio |", "|---|---|---|---|"]
    return (
        lines
        + [
            f"| {one['name']} | {one['with']['median']:.3f} s | {one['without']['median']:.3f} s | "
            f"{one['ratio']['median']:.2f} [{one['ratio']['least']:.2f}, {one['ratio']['most']:.2f}] |"
            for one in read(file)["rows"]
        ]
        + [""]
    )


def gpu() -> list[str]:
    """How close a GPU comes to its limits."""
    lines = ["## On a GPU", "", ON_A_GPU]
    file = RESULTS / "gpu.json"
    if not file.exists():
        return [*lines, "Not measured yet: no line of this library has run on a GPU.", ""]
    found = read(file)
    lines += [
        f"{found['device']}, torch {found['torch']}.",
        "",
        "| work | wanted | measured | of |",
        "|---|---|---|---|",
    ]
    if one := found.get("supervised"):
        lines.append(f"| {one['work']} | 45% | {one['share']:.0%} | {one['peak'] / 1e12:,.0f} TFLOP/s |")
    if one := found.get("sampled"):
        lines.append(f"| {one['work']} | 50% | {one['share']:.0%} | {one['bandwidth'] / 1e9:,.0f} GB/s |")
    if one := found.get("reinforced"):
        lines.append(f"| {one['work']} | 8 × | {one['ratio']:.1f} × | the step around `generate` |")
    return [*lines, ""]


def settings(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was tried for the peers."""
    lines = ["## Settings of the peers", ""]
    file = RESULTS / "peer_settings.json"
    if not file.exists():
        return [*lines, "Not tuned yet: each peer has the first candidate of `benchmarks/tuning.py`.", ""]
    lines += ["`python -m benchmarks.run --tune`: processor seconds of a repetition; the fastest competes.", ""]
    for name, tried in read(file).items():
        cells = [f"{words(one['settings'])}: {shown(one['seconds'])}" for one in tried]
        lines.append(f"- {name}: {'; '.join(cells)}")
    return [*lines, ""]


def words(chosen: Mapping[str, Any]) -> str:
    """Settings in one line."""
    whole = {**chosen, "rows_per_pass": "all"} if chosen.get("rows_per_pass", 0) == 1 << 20 else chosen
    return ", ".join(f"{name} {value}" for name, value in whole.items())


def shown(seconds: float | None) -> str:
    """Seconds, or that it failed."""
    return "fails" if seconds is None else f"{seconds:.2f} s"


def machines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where it was measured, and with which versions."""
    lines = ["## Machines and versions", ""]
    places = dict.fromkeys(machine(one["machine"]) for one in found)
    versions: dict[str, str] = {}
    for one in found:
        for name, contestant in one["contestants"].items():
            versions[name] = ", ".join(f"{package} {number}" for package, number in contestant["versions"].items())
    return [*lines, *(f"- {place}" for place in places), *(f"- `{k}`: {v}" for k, v in versions.items()), ""]


def machine(facts: Mapping[str, Any]) -> str:
    """A machine in one line."""
    return (
        f"{facts['processor']} ({', '.join(facts['extensions'])}), {facts['cores_used']} of {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB, {facts['system']}, Python {facts['python']}, commit {facts['commit']}"
    )


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


def main() -> None:
    """Write the page, or check it."""
    if sys.argv[1:] == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == page_text()
        sys.exit(
            0 if current else "docs/performance.md is not what benchmarks/results gives: python -m benchmarks.page"
        )
    write_page()


if __name__ == "__main__":
    main()
