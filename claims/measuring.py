"""A second look at the models of a comparison, by other quantities than accuracy.

``python claims/measuring.py NAME`` measures the arms of a claim whose comparison has run, and its base, and writes
``runs/claims/NAME/measured.json``; ``run.py`` does so by itself.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from claim import MEASURED_FILE, Claim
from measures import Measure, Outcome

from posttrain.evaluation.accuracy import paired_difference
from posttrain.loading import load_policy
from posttrain.model_folder import located
from posttrain.runs import folder, recipe_file
from posttrain.runtime import local_runtime

ROOT = Path(__file__).parent.parent
Values = Mapping[str, Sequence[Sequence[float]]]
"""By arm: per seed a number per problem; seeds and problems are the same for all arms."""


def write_measured(claim: Claim, out: Path) -> None:
    """Measure the models of a comparison.

    Args:
        claim: with measures.
        out: the folder of its comparison.
    """
    rows = json.loads((out / "comparison.json").read_text())
    base = located(recipe_file.read(out / rows[0]["run"]).model)
    before = _numbers(base, claim.measures)
    found: dict[str, dict[str, list[Sequence[float]]]] = {measure.outcome.name: {} for measure in claim.measures}
    for row in rows:
        for name, numbers in _numbers(out / row["run"] / folder.CHECKPOINT, claim.measures).items():
            found[name].setdefault(row["method"], []).append(numbers)
    outcomes = [measure.outcome for measure in claim.measures]
    folder.write_json(out / MEASURED_FILE, {"outcomes": [entry(o, found[o.name], before[o.name]) for o in outcomes]})


def entry(outcome: Outcome, values: Values, base: Sequence[float] | None) -> dict[str, Any]:
    """One outcome of all arms: means by seed, and the claimed differences with their 95% intervals.

    Args:
        outcome: what was measured.
        values: of the arms.
        base: of the model that all of them begin with, a number per problem.
    """
    return {
        "name": outcome.name,
        "unit": outcome.unit,
        "better": outcome.better,
        "problems": len(next(iter(values.values()))[0]),
        "base": None if base is None else statistics.fmean(base),
        "arms": {arm: [statistics.fmean(seed) for seed in seeds] for arm, seeds in values.items()},
        "differences": [_difference(arm, other, values) for arm, other in outcome.effects],
    }


def _difference(arm: str, baseline: str, values: Values) -> dict[str, Any]:
    difference, ends = paired_difference(values[arm], values[baseline])
    return {"first": arm, "second": baseline, "difference": difference, "ci95": ends, "seeds": len(values[arm])}


def _numbers(model: Path, measures: Sequence[Measure]) -> dict[str, Sequence[float]]:
    policy = load_policy(model, local_runtime("float32"))
    return {measure.outcome.name: measure.quantity(policy) for measure in measures}


if __name__ == "__main__":
    from table import CLAIMS

    (wanted,) = (claim for claim in CLAIMS if claim.name == sys.argv[1])
    write_measured(wanted, ROOT / "runs" / "claims" / wanted.name)
