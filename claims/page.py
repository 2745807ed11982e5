"""``docs/claims.md`` from the stored evidence in ``results/``; nothing in it is written by hand.

``python claims/page.py --check`` fails if the page is not what the evidence gives.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import repeat
from claim import MEASURED_FILE, Claim
from effects import anchor, effects
from outcomes import outcomes
from table import CLAIMS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "claims.md"
FITNESS = ROOT / "src" / "posttrain" / "embedded" / "model" / "fitness.json"
"""Measured by ``posttrain pretrain`` when it made the model."""
HEAD = """# Claims

Every number on this page was measured by the command beside it and is generated from the files in `results/` by
`python claims/page.py`. `make claims` measures the short claims again with the settings chosen before, which took
{minutes} minutes in all on two cores, `make claims-long` the long ones; `make claims-tune` tunes all arms anew first.
Nothing here was measured on a GPU.

Arms are tuned on the validation split with seeds of their own, then measured on held-out problems, greedily, from
scratch, without hints. Intervals of differences are 95% percentile intervals of a bootstrap over seeds and problems,
paired by problem; a difference is *shown* if its interval excludes 0. Null and reversed results stay in the tables.
Two learning rates of one arm stand in the order in which they were tuned, listed under each comparison. Where something
else than accuracy is measured, it is measured of the same models, problem by problem; tuning looks at accuracy, unless
the list of what was tried names something else.
"""


SUMMARY = """Every row claims that the method on the left is better than its baseline. *Not shown*: the interval
includes 0; *reversed*: the baseline is better. Names in brackets are arms, explained by the command of their section.
"""


def write_page() -> None:
    """Write the page."""
    PAGE.write_text(page_text())


def page_text() -> str:
    """The page as the evidence gives it."""
    return "\n".join(
        [HEAD.format(minutes=minutes()), summary(), *repeat.section(), *(section(claim) for claim in CLAIMS)]
    )


def minutes() -> int:
    """What the short claims took, all of them."""
    facts = [ROOT / "results" / claim.name / "claim.json" for claim in CLAIMS if claim.length == "short"]
    return math.ceil(sum(read(path)["seconds"] for path in facts if path.exists()) / 60)


def summary() -> str:
    """A row per measured effect."""
    lines = [
        "## What was found",
        "",
        SUMMARY,
        "| method | better than | in | by | 95% interval | seeds | | measured in |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for e in effects():
        name = f"`{e.arm}`" if e.arm == e.method else f"`{e.method}` ({e.arm})"
        verdict = e.verdict if e.verdict == "shown" else f"*{e.verdict}*"
        what = e.outcome if e.better == "more" else f"{e.outcome} (less is better)"
        where = f"[{e.claim.name}](#{anchor(e.claim)})"
        cells = (name, e.baseline, what, e.size, e.interval, e.seeds, verdict, where)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


def section(claim: Claim) -> str:
    """One claim: its command, its tables."""
    folder = ROOT / "results" / claim.name
    lines = [f"## {claim.title}", ""]
    if not (folder / "claim.json").exists():
        return "\n".join([*lines, f"Not measured yet. Command: `{claim.command}`", ""])
    facts = read(folder / "claim.json")
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    spent = f"{facts['seconds']} s in all{', tuning included' if ' --tune ' in facts['command'] else ''}"
    again = " `make claims-long` measures it again." if claim.length == "long" else ""
    lines += ["```", facts["command"], "```", "", f"{facts['machine']}; {versions}; {spent}.{again}", ""]
    readings = ["Our reading:", "", *(f"- {reading}" for reading in claim.readings), ""] if claim.readings else []
    measured = outcomes(claim, folder) if (folder / MEASURED_FILE).exists() else []
    return "\n".join([*lines, *(_PAGES[claim.page](folder)), *measured, *readings])


def comparison(folder: Path) -> list[str]:
    """Accuracy by arm, differences, tuning."""
    rows = read(folder / "comparison.json")
    base = read(folder / "base.json")
    tries = ", ".join(
        f"pass@{k} {value:.1%}" for k, value in base.get("pass_at_k", {}).items() if k in ("1", "8", "64")
    )
    lines = [f"Base at step 0: greedy {base['accuracy']:.1%} (n = {base['n']}), sampled {tries}.", ""]
    lines += ["| arm | accuracy by seed | mean | learning rate | credit | tokens sampled | tokens trained | s |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    rates = chosen_rates(folder)
    lines += [arm_row(name, [r for r in rows if r["method"] == name], rates.get(name)) for name in in_order(rows)]
    lines += ["", "| difference | points | 95% interval | |", "|---|---|---|---|"]
    for pair in read(folder / "paired.json"):
        low, high = pair["ci95"]
        verdict = "shown" if pair["shown"] else "not shown"
        points = f"{100 * pair['difference']:+.1f} | [{100 * low:+.1f}, {100 * high:+.1f}]"
        lines.append(f"| {pair['first']} − {pair['second']} | {points} | {verdict} |")
    return [*lines, "", *tuning(folder)]


def base(folder: Path) -> list[str]:
    """The base model's own accuracy."""
    summary = read(folder / "summary.json")
    low, high = summary["ci95"]
    lines = ["| | share | |", "|---|---|---|"]
    lines += [f"| greedy accuracy | {summary['accuracy']:.2%} | [{low:.2%}, {high:.2%}], n = {summary['n']} |"]
    lines += [f"| answers of the right form | {summary['valid_rate']:.2%} | |"]
    lines += [f"| pass@{k} | {value:.2%} | sampled at temperature 1 |" for k, value in summary["pass_at_k"].items()]
    fitness = read(FITNESS)
    share, count = fitness["arithmetic"], fitness["equations"]
    written = f"| true equations in sampled Countdown games | {share:.2%} | n = {count} |"
    return [*lines, written, ""]


def pretraining(folder: Path) -> list[str]:
    """How far the loss of a pretraining fell."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    begin, end = rows[0], rows[-1]["step"]
    last = statistics.fmean(row["loss"] for row in rows if row["step"] > end - 50)
    first = f"{begin['loss']:.2f} at step {begin['step']}"
    return [f"Loss per token: {first}, {last:.3f} over the last 50 of {end:,} steps.", ""]


def run(folder: Path) -> list[str]:
    """What one run came to."""
    summary = read(folder / "summary.json")
    low, high = summary["ci95"]
    before, samples = summary["base"]["accuracy"], summary["completions_sampled"]
    return [
        f"Accuracy {before:.1%} → {summary['accuracy']:.1%} [{low:.1%}, {high:.1%}], n = {summary['n']}; "
        f"{samples:,} completions sampled, {summary['tokens_trained']:,} tokens trained on.",
        "",
    ]


def real_data(folder: Path) -> list[str]:
    """The four things that must hold of a unified run on real data."""
    facts = read(folder / "checks.json")
    nll, reward, hints, end = (facts[key] for key in ("hint_nll", "hinted_reward", "hint_fraction", "accuracy"))
    low, high = end["base_ci95"]
    tries = ", ".join(f"pass@{k} {value:.1%}" for k, value in read(folder / "base.json").get("pass_at_k", {}).items())
    rows = {
        "hint NLL falls by half": (
            nll,
            f"{nll['first']:.3f} → {nll['last']:.3f} nats per token ({nll['ratio']:.2f}); whole hints of the same "
            f"held-out rows {nll['heldout_base']:.3f} → {nll['heldout_end']:.3f}",
        ),
        "hinted reward exceeds un-hinted": (
            reward,
            f"{reward['hinted']:.3f} against {reward['scratch']:.3f} over {reward['steps']} steps, difference "
            f"{reward['difference']:+.3f} ± {reward['standard_error']:.3f}",
        ),
        "realised hint fraction within 3 standard errors of the schedule": (
            hints,
            f"{hints['realised']:.4f} against {hints['expected']:.4f} over {hints['draws']} draws: "
            f"{hints['deviation_in_standard_errors']:+.2f} standard errors",
        ),
        "un-hinted held-out accuracy ends above the base's interval": (
            end,
            f"{end['end']:.1%} against {end['base']:.1%} [{low:.1%}, {high:.1%}], n = {end['n']}"
            + (f"; the base, sampled: {tries}" if tries else ""),
        ),
    }
    lines = ["| what must hold | measured | |", "|---|---|---|"]
    lines += [
        f"| {name} | {text} | {'holds' if check['holds'] else '**fails**'} |" for name, (check, text) in rows.items()
    ]
    return [*lines, ""]


def chosen_rates(folder: Path) -> dict[str, str]:
    """Per arm the learning rates that were chosen for it, one per stage that was tuned."""
    if not (folder / "tuning.json").exists():
        return {}
    found: dict[str, list[str]] = {}
    for row in read(folder / "tuning.json")["rows"]:
        if row["chosen"] and row["setting"].endswith("learning_rate"):
            found.setdefault(row["method"], []).append(f"{float(row['value']):g}")
    return {name: " / ".join(values) for name, values in found.items()}


def arm_row(name: str, rows: Sequence[Mapping[str, Any]], rate: str | None) -> str:
    """One arm of a comparison; without chosen rates, the one that its runs report."""
    seeds = " / ".join(f"{100 * row['accuracy']:.1f}" for row in rows)
    mean = 100 * statistics.fmean(row["accuracy"] for row in rows)
    sampled, trained, seconds = (
        statistics.fmean(row[key] for row in rows) for key in ("tokens_sampled", "tokens_trained", "training_seconds")
    )
    first = rows[0]
    settings = f"{rate or format(first['learning_rate'], 'g')} | {first['credit'] or '–'}"
    return f"| {name} | {seeds} | {mean:.1f} | {settings} | {sampled:,.0f} | {trained:,.0f} | {seconds:.0f} |"


def tuning(folder: Path) -> list[str]:
    """What was tried on the validation split."""
    if not (folder / "tuning.json").exists():
        return []
    lines = ["Tried on the validation split (accuracy in %, the value that was taken in bold):", ""]
    by_setting: dict[tuple[str, str], list[str]] = {}
    for row in read(folder / "tuning.json")["rows"]:
        shown_accuracy = "diverged" if row["accuracy"] is None else f"{100 * row['accuracy']:.1f}"
        cell = f"{row['value']}: {shown_accuracy}"
        by_setting.setdefault((row["method"], row["setting"]), []).append(f"**{cell}**" if row["chosen"] else cell)
    return [*lines, *(f"- {m}, {s}: {'; '.join(cells)}" for (m, s), cells in by_setting.items()), ""]


def theory(folder: Path) -> list[str]:
    """Median leaves by height, and the comparison of schedules."""
    rows = read(folder / "theory.json")
    lines = ["| height | bound B^H/4 | RFT, median leaves | UFT, median leaves | ratio |", "|---|---|---|---|---|"]
    for height in sorted({row["height"] for row in rows}):
        rft, uft = (median_leaves(rows, height, name) for name in ("rft", "uft"))
        branching = next(row["branching"] for row in rows if row["height"] == height)
        ratio = f"{rft / uft:.2f}" if rft and uft else "–"
        lines.append(f"| {height} | {branching**height / 4:,.0f} | {shown(rft)} | {shown(uft)} | {ratio} |")
    lines += ["", "Final pass@1 after the same number of leaves, median over seeds:", "", "| tree | arm | pass@1 |"]
    lines += ["|---|---|---|"]
    annealing = read(folder / "annealing.json")
    for tree in sorted({(r["branching"], r["height"]) for r in annealing}, reverse=True):
        own = [r for r in annealing if (r["branching"], r["height"]) == tree]
        for name in in_order(own):
            value = statistics.median(r["pass_at_1"] for r in own if r["method"] == name)
            lines.append(f"| B={tree[0]}, H={tree[1]} | {name} | {value:.3f} |")
    return [*lines, ""]


def median_leaves(rows: Sequence[Mapping[str, Any]], height: int, name: str) -> float | None:
    """The median; a run that did not end counts as infinite, and a median among those is unknown."""
    own = [r for r in rows if r["height"] == height and r["method"] == name]
    if not own:
        return None
    median = statistics.median(r["leaves"] if r["solved"] else float("inf") for r in own)
    return None if median == float("inf") else median


def shown(value: float | None) -> str:
    """A count, or a dash where it is unknown."""
    return "–" if value is None else f"{value:,.0f}"


def nothing_more(folder: Path) -> list[str]:
    """What other measurements need, or what is shown by its outcomes alone."""
    return []


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The methods in the order in which they first appear."""
    return list(dict.fromkeys(row["method"] for row in rows))


def read(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text())


_PAGES = {
    "base": base,
    "comparison": comparison,
    "measured": nothing_more,
    "preparation": nothing_more,
    "pretraining": pretraining,
    "real_data": real_data,
    "run": run,
    "theory": theory,
}


def main() -> None:
    """Write the page, or check it."""
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if PAGE.read_text() == page_text() else "docs/claims.md is not what results/ gives: make claims")
    write_page()


if __name__ == "__main__":
    main()
