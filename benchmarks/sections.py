"""Sections of ``docs/performance.md`` that stand for themselves: one per file of results, beside those of the works."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ON_A_GPU = """`make bench-gpu` measures half a billion parameters against what the device can do: a supervised step
against its bfloat16 products, sampling against the reads of weights, keys and values, a reinforced step against the
same around `generate`. Written for GPUs alone is this: steps of decoding are recorded as CUDA graphs, whose logic the
tests check on CPUs with a recorder of tensor operations; which rows have ended is looked up at every 16th token only;
whole passes are left to the fused attention kernels, and where sequences begin alike or differ in length, they stand in
one row without padding or repetition, read by the flash kernel for texts of different lengths (`ragged.py`). Whether
that kernel reads what it should is looked at on a few numbers when a model is loaded; the tests put plain products in
its place.
"""
SPENT = """`python -m benchmarks.parts`: the shares of a step inside matrix products, those of attention, which have
no weights, among them, inside all other operations on tensors, and outside of both: in the interpreter, in autograd,
and in making views and new tensors. Layers are as they are written; works that compete with compiled ones spend less
on other operations. Each operation of a step is timed after a step in which none is; *step* and what the shares are of
is the time of the latter, in processor seconds. What a view takes is taken off every operation, as the price of being
timed; a little of that would be there without a clock, so that *other operations* is rather too small than too large
where there are many. Shares that add up to more than the whole say how far two steps lie apart. The other operations
read their tensors from memory and write them back one by one; how many they are, and how much they move, is counted.
What a compiler that fuses them gains in supervised steps stands under [decisions](#what-each-decision-is-worth). In
sampling long texts much of the products' time is attention's: its matrices have few rows, one per head that reads the
same keys and, for a prompt, per text that continues it.
"""
OF_FILES = {"reading_s": "reading, s", "fitting_s": "looking whether all fit, s"}
"""Columns of the axis that reads a file."""


def spent(results: Path) -> list[str]:
    """What a step's time goes into."""
    lines = ["## What a step is spent on", "", SPENT]
    file = results / "parts.json"
    if not file.exists():
        return [*lines, "Not measured yet.", ""]
    lines += ["| work | step | products | of attention | other operations | the rest | operations | they move |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for one in read(file)["rows"]:
        rest = round(1 - one["products"] - one["others"], 2) + 0.0  # never -0
        lines.append(
            f"| {one['name']} | {one['seconds']['median']:.2f} s | {one['products']:.0%} | {one['attention']:.0%} | "
            f"{one['others']:.0%} | {rest:.0%} | {one['operations']:,} | {one['bytes'] / 1e9:.1f} GB |"
        )
    return [*lines, "", at_commit(read(file)["machine"]), ""]


def growth(results: Path) -> list[str]:
    """A table per axis."""
    what = "`python -m benchmarks.growth`, the 1M model, this library alone; processor seconds."
    lines = ["## How cost grows", "", what, ""]
    file = results / "growth.json"
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
    known = [axis["machine"] for axis in read(file).values() if "machine" in axis]
    return [*lines, at_commit(*known), ""] if known else lines


def memory(results: Path) -> list[str]:
    """What a large vocabulary costs."""
    lines = ["## Memory of a large vocabulary", ""]
    file = results / "memory.json"
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
    return [*lines, "", at_commit(found["machine"]), ""]


def decisions(results: Path) -> list[str]:
    """What each decision for speed is worth."""
    lines = [
        "## What each decision is worth",
        "",
        "`python -m benchmarks.decisions`, 1M parameters, the works above with short sequences; processor seconds.",
        "",
    ]
    file = results / "decisions.json"
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
        + ["", at_commit(read(file)["machine"]), ""]
    )


def gpu(results: Path) -> list[str]:
    """How close a GPU comes to its limits."""
    lines = ["## On a GPU", "", ON_A_GPU]
    file = results / "gpu.json"
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
    lines += ["", *(f"- {one['name']}: {one['ratio']:.2f} ×" for one in found.get("decisions", []))]
    return [*lines, ""]


def at_commit(*machines: Mapping[str, Any]) -> str:
    """Of which state of the library a section speaks, and on which system; both may be others than the works'."""
    places = dict.fromkeys(f"{one['commit']} on {one['processor']}, {one['system']}" for one in machines)
    return f"Measured at commit {'; '.join(places)}."


def in_both(found: Sequence[Mapping[str, Any]], folder: Path) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The works that another run, whose results were moved to a folder, measured as well: both results of each."""
    others = {path.stem: read(path) for path in folder.glob("*.json")}
    return [(one, others[name]) for one in found if (name := one["work"]["name"]) in others]


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())
