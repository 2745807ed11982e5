"""``docs/performance.md`` from ``benchmarks/results``; nothing in it is written by hand.

``python -m benchmarks.page --check`` fails if the page is not what the results give.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.again import again
from benchmarks.elsewhere import elsewhere, rate
from benchmarks.sections import decisions, gpu, growth, memory, read, spent
from benchmarks.works import ENTRIES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"
HEAD = """# Performance

Every number on this page was measured by the command beside it and is generated from `benchmarks/results` by
`python -m benchmarks.page`. Nothing here was measured on more than one core, or with weights that were trained: the
models are Qwen2 with random weights, which cost as much time as any other. What was measured
[on a GPU](#on-a-gpu), and what was not, stands in a section of its own.

`make bench` measures everybody's speed, what each decision is worth and what a step is spent on, within an hour;
`make bench-quick` the works that say most, `make bench-growth` how time and memory grow. Contestants live in processes
and environments of their own and take turns on the same core, A B A B, so that what slows one round slows both. They
get the same model folder, texts, rewards, learning rate (0, so that every step is alike) and precision: float32 weights
with bfloat16 products in training, bfloat16 weights in vLLM. Every sequence has the length that is stated: the models
cannot sample their end-of-sequence token, so nothing ends early and nothing is padding.

Contestants compete with the fastest of the settings that are listed [below](#settings). This library has its defaults,
but for one choice: where it trains it may compile layers (`--layers compiled`), as TRL may compile its model. Compiling
is not timed.
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
MOST = """*Most* is the ratio that a program of nothing but the least products and reads would have; what there is
besides stands under [what a step is spent on](#what-a-step-is-spent-on).
"""
TRIED = """`python -m benchmarks.run --tune`: processor seconds of a repetition, the faster of two by each candidate
alone; where several came close to the fastest, the median of rounds in which these took turns, in bold. The fastest
competes. Sparse works have the settings that were tried on dense ones. Works that are not listed were not tuned: they
have the first candidate of `benchmarks/tuning.py`. Times compare within a work alone, and those in bold with each
other: works may have been tried at different times and on different machines.
"""
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
    parts += [*unreached(found), *again(found, RESULTS / "earlier"), *elsewhere(found, RESULTS / "elsewhere")]
    parts += [line for section in (spent, growth, memory, decisions, gpu) for line in section(RESULTS)]
    parts += [*settings(), *machines(found)]
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
    lines = ["## Ratios that were not reached", "", MOST]
    lines += ["| work | wanted | measured | most | operations | rate of the products |", "|---|---|---|---|---|---|"]
    for one in missed:
        least, theirs = one["least"], median(one, one["peer"])
        lines.append(
            f"| {one['work']['name']} | {one['wanted']:g} | {one['ratio']['median']:.2f} | "
            f"{theirs / least['seconds']:.1f} | {least['operations'] / 1e9:,.0f} GFLOP | "
            f"{rate(one) / 1e9:,.0f} GFLOP/s |"
        )
    return [*lines, ""]


def settings() -> list[str]:
    """What was tried."""
    lines = ["## Settings", ""]
    lines += [TRIED]
    for who, file in (("Peers", "peer_settings.json"), ("This library", "our_settings.json")):
        if not (RESULTS / file).exists():
            continue
        lines += [f"**{who}**", ""]
        for name, found in read(RESULTS / file).items():
            cells = [f"{words(one['settings'])}: {shown(one)}" for one in found["tried"]]
            lines.append(f"- {name}: {'; '.join(cells)}")
        lines.append("")
    return lines


def words(chosen: Mapping[str, Any]) -> str:
    """Settings in one line."""
    whole = {**chosen, "rows_per_pass": "all"} if chosen.get("rows_per_pass", 0) == 1 << 20 else chosen
    return ", ".join(f"{name} {value}" for name, value in whole.items())


def shown(tried: Mapping[str, Any]) -> str:
    """Seconds alone and in turns, or that it failed."""
    if tried["seconds"] is None:
        return "fails"
    return f"{tried['seconds']:.2f} s" + ("" if tried["in_turns"] is None else f" **{tried['in_turns']:.2f} s**")


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
