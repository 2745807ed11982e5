"""What must hold of a unified run on real data, computed from the run's folder.

``python claims/real_data.py RUN`` writes ``RUN/checks.json``. The data file is read for the number of parts of every
demonstration, which the law of the hints needs.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hint_likelihood import nats_per_token

from posttrain.data.reading import read_examples
from posttrain.rollouts.hints import BinomialCosine, cut_points
from posttrain.runs import folder, recipe_file
from posttrain.runs.problems import read_problems
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import build
from posttrain.types import Progress

NEIGHBOURS = 5
"""Hint likelihoods are averaged over this many steps at the beginning and at the end of the hinted phase."""
WHOLE_HINTS = 100
"""Held-out rows whose whole hints are compared as well."""
STANDARD_ERRORS = 3.0
Row = Mapping[str, Any]


def checks(run: Path) -> dict[str, Any]:
    """The four checks, each with ``holds`` and the numbers behind it."""
    spec = recipe_file.read(run)
    metrics, rollouts = folder.read_rows(run / folder.METRICS), folder.read_rows(run / folder.ROLLOUTS)
    arguments: dict[str, Any] = build(spec.method, spec.arguments)
    law, coefficient = arguments["hints"], arguments["likelihood"]
    return {
        "hint_nll": hint_nll(metrics, coefficient) | same_hints(run, spec),
        "hinted_reward": hinted_reward(metrics),
        "hint_fraction": hint_fraction(rollouts, law, parts_by_example(spec, arguments["most_parts"]), len(metrics)),
        "accuracy": accuracy(folder.read_rows(run / folder.EVALUATIONS), folder.read_json(run / folder.BASE)),
    }


def hint_nll(metrics: Sequence[Row], coefficient: float) -> dict[str, Any]:
    """Mean negative log-likelihood of a hint token, at the first and the last steps that had hints."""
    # A step that happened to draw no hint at all has a loss of exactly 0, which says nothing about the model.
    known = [row["loss/hint likelihood"] / coefficient for row in metrics if row["loss/hint likelihood"] > 0]
    first, last = statistics.fmean(known[:NEIGHBOURS]), statistics.fmean(known[-NEIGHBOURS:])
    ratio = last / first
    return {"first": first, "last": last, "lowest": min(known), "ratio": ratio, "holds": ratio <= 0.5}


def same_hints(run: Path, spec: RunSpec) -> dict[str, float]:
    """Whole hints of the same held-out rows, before and after: what does not change with the length of the hints."""
    examples = read_problems(spec).evaluation[:WHOLE_HINTS]
    base, end = Path(spec.model), run / folder.CHECKPOINT
    return {"heldout_base": nats_per_token(base, examples), "heldout_end": nats_per_token(end, examples)}


def hinted_reward(metrics: Sequence[Row]) -> dict[str, Any]:
    """Mean reward of rows that began with a hint and of rows of the same steps that did not."""
    pairs = [(row["reward_hinted"], row["reward_scratch"]) for row in metrics]
    both = [(hinted, scratch) for hinted, scratch in pairs if hinted is not None and scratch is not None]
    differences = [hinted - scratch for hinted, scratch in both]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    mean = statistics.fmean(differences)
    return {
        "hinted": statistics.fmean(hinted for hinted, _ in both),
        "scratch": statistics.fmean(scratch for _, scratch in both),
        "difference": mean,
        "standard_error": error,
        "steps": len(both),
        "holds": mean > 2 * error,
    }


def hint_fraction(rollouts: Iterable[Row], law: BinomialCosine, parts: Mapping[str, int], steps: int) -> dict[str, Any]:
    """The drawn fractions of all prompts against what the schedule expects of them, in standard errors.

    A group shares its hint, so every prompt of a step counts once.
    """
    drawn = {(row["step"], row["example"]): row["hint_fraction"] for row in rollouts}
    surplus = variance = expected = 0.0
    for (step, example), fraction in drawn.items():
        chance = law.probability(Progress(step - 1, steps, seed=0))
        expected += chance
        surplus += fraction - chance
        variance += chance * (1 - chance) / parts[example]
    deviation = surplus / math.sqrt(variance)
    count = len(drawn)
    return {
        "expected": expected / count,
        "realised": (expected + surplus) / count,
        "draws": count,
        "deviation_in_standard_errors": deviation,
        "holds": abs(deviation) <= STANDARD_ERRORS,
    }


def parts_by_example(spec: RunSpec, most_parts: int) -> dict[str, int]:
    """Into how many parts every demonstration of the data file is cut."""
    examples = read_examples(Path(str(spec.data))).all_examples
    return {e.id: len(cut_points(len(e.demonstrations[0].chunks), most_parts)) - 1 for e in examples}


def accuracy(evaluations: Sequence[Row], base: Row) -> dict[str, Any]:
    """Greedy, without hints, on held-out rows: the base and the end."""
    last = evaluations[-1]
    return {
        "base": base["accuracy"],
        "base_ci95": base["ci95"],
        "end": last["accuracy"],
        "end_ci95": last["ci95"],
        "n": last["n"],
        "holds": last["accuracy"] > base["ci95"][1],
    }


def write_checks(run: Path) -> None:
    """Write the checks into the run's folder."""
    (run / "checks.json").write_text(json.dumps(checks(run), indent=2) + "\n")


if __name__ == "__main__":
    write_checks(Path(sys.argv[1]))
