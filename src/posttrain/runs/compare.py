"""Methods side by side: tuned on the validation split, measured on the held-out one over several seeds.

The budget is sampled completions: every arm with a sampled phase gets the same number of them, and ``sft`` the same
number of updates. What a method uses besides (supervised updates, hinted and therefore shorter completions) is
reported beside its accuracy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttrain.errors import UserError
from posttrain.runs import folder
from posttrain.runs.display import Display
from posttrain.runs.jobs import run_all
from posttrain.runs.spec import RunSpec
from posttrain.settings.overrides import apply, settings_named

COMPARISON, PAIRED, TUNING, BASE = "comparison.json", "paired.json", "tuning.json", "base.json"
TUNING_SEED = 1_000
"""Tuning runs never share a seed with the measured ones."""


@dataclass(frozen=True)
class CompareSpec:
    """A comparison.

    Args:
        methods: the arms.
        out: the comparison's folder.
        run: what all arms share; its method, folder and seed are replaced.
        seeds: measured runs per arm, seeds 0 … seeds - 1.
        tune: settings and their candidate values, tuned one after the other in this order on the validation split;
            an arm that lacks a setting passes over it.
        arguments: per method, its arguments.
        workers: runs at a time.
    """

    methods: tuple[str, ...]
    out: str
    run: RunSpec
    seeds: int = 3
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse empty comparisons."""
        if not self.methods:
            raise UserError("name at least one method to compare")
        if len(set(self.methods)) != len(self.methods):
            raise UserError("a method is named twice; every arm needs a name of its own")
        if self.seeds < 1:
            raise UserError(f"--seeds must be at least 1, got {self.seeds}")


def compare(spec: CompareSpec, display: Display) -> list[dict[str, Any]]:
    """Tune, run, and write ``comparison.json``, ``paired.json`` and ``report.html``; finished runs are kept.

    Returns:
        The rows of ``comparison.json``, one per method and seed.
    """
    path = Path(spec.out)
    with folder.disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    base = _base(spec, path, display)
    arguments = _tuned(spec, base, display)
    specs = [_run_spec(spec, m, seed, arguments[m]) for seed in range(spec.seeds) for m in spec.methods]
    summaries = run_all(specs, base, spec.workers, display, "comparing")
    rows = [_row(path, s, summary) for s, summary in zip(specs, summaries)]
    folder.write_json(path / COMPARISON, rows)
    folder.write_json(path / PAIRED, paired_rows(path, rows, spec.methods))
    from posttrain.report.comparison_page import write_comparison_page

    write_comparison_page(path)
    return rows


def _base(spec: CompareSpec, path: Path, display: Display) -> dict[str, Any]:
    known = path / BASE
    if not known.exists():
        from posttrain.runs.execute import measure_base

        folder.write_json(known, measure_base(dataclasses.replace(spec.run, method=spec.methods[0]), display))
    return folder.read_json(known)


def _run_spec(spec: CompareSpec, method: str, seed: int, arguments: Mapping[str, Any]) -> RunSpec:
    out = str(Path(spec.out) / "runs" / f"{method}-seed{seed}")
    return dataclasses.replace(spec.run, method=method, seed=seed, out=out, arguments=arguments)


def _tuned(spec: CompareSpec, base: Mapping[str, Any], display: Display) -> dict[str, dict[str, Any]]:
    """Per method its arguments, with every tuned setting at its best value on the validation split."""
    arguments = {m: dict(spec.arguments.get(m, {})) for m in spec.methods}
    for setting, values in spec.tune.items():
        arms = [m for m in spec.methods if settings_named(m, setting)]
        candidates = {m: [apply(m, arguments[m], [f"{setting}={value}"]) for value in values] for m in arms}
        specs = [_tuning_spec(spec, m, setting, v, c) for m in arms for v, c in zip(values, candidates[m])]
        summaries = run_all(specs, base, spec.workers, display, f"tuning {setting}")
        for index, method in enumerate(arms):
            own = summaries[index * len(values) : (index + 1) * len(values)]
            best = max(range(len(values)), key=lambda i: own[i]["accuracy"])
            _record_tuning(Path(spec.out), method, setting, values, own, best)
            arguments[method] = candidates[method][best]
            display.say(f"{method}: {setting} = {values[best]} (validation accuracy {own[best]['accuracy']:.1%})")
    return arguments


def _tuning_spec(spec: CompareSpec, method: str, setting: str, value: Any, arguments: Mapping[str, Any]) -> RunSpec:
    out = str(Path(spec.out) / "tuning" / f"{method}-{setting}-{value}")
    run = dataclasses.replace(spec.run, method=method, seed=TUNING_SEED, out=out, arguments=arguments)
    return dataclasses.replace(run, evaluation_split="validation", rollouts_kept_per_step=0)


def _record_tuning(
    path: Path, method: str, setting: str, values: Sequence[Any], summaries: Sequence[Mapping[str, Any]], best: int
) -> None:
    known = folder.read_json(path / TUNING)["rows"] if (path / TUNING).exists() else []
    kept = [row for row in known if (row["method"], row["setting"]) != (method, setting)]
    kept += [
        {
            "method": method,
            "setting": setting,
            "value": str(value),
            "chosen": index == best,
            **{key: summary[key] for key in ("accuracy", "ci95", "n", "training_seconds")},
        }
        for index, (value, summary) in enumerate(zip(values, summaries))
    ]
    folder.write_json(path / TUNING, {"rows": kept})


def _row(path: Path, spec: RunSpec, summary: Mapping[str, Any]) -> dict[str, Any]:
    from posttrain.runs import recipe_file

    resolved = recipe_file.read(Path(spec.out)).arguments
    keys = ("method", "seed", "accuracy", "ci95", "valid_rate", "n", "steps", "completions_sampled", "tokens_sampled")
    more = ("tokens_trained", "updates", "flops", "training_seconds", "seconds")
    return {
        **{key: summary[key] for key in (*keys, *more)},
        "learning_rate": _setting(resolved, "learning_rate"),
        "credit": _setting(resolved, "credit"),
        "base_accuracy": summary["base"]["accuracy"],
        "run": str(Path(spec.out).relative_to(path)),
    }


def _setting(arguments: Mapping[str, Any], name: str) -> Any:
    """The value of a setting wherever it stands; of two stages the later one's, ``None`` where there is none."""
    found = None
    for key, value in arguments.items():
        if key == name:
            found = value if isinstance(value, (int, float, str)) else next(iter(value))
        elif isinstance(value, Mapping):
            inner = _setting(value, name)
            found = inner if inner is not None else found
    return found


def paired_rows(path: Path, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Every pair of arms: difference of accuracies on the same problems, bootstrapped over seeds and problems."""
    from posttrain.evaluation.accuracy import paired_difference

    correct = {
        m: [_correct(path / row["run"]) for row in rows if row["method"] == m] for m in methods
    }
    out = []
    for i, first in enumerate(methods):
        for second in methods[i + 1 :]:
            difference, (low, high) = paired_difference(correct[first], correct[second])
            shown = low > 0 or high < 0
            seeds, problems = len(correct[first]), len(correct[first][0])
            out.append(
                {
                    "first": first,
                    "second": second,
                    "difference": difference,
                    "ci95": [low, high],
                    "seeds": seeds,
                    "problems": problems,
                    "shown": shown,
                }
            )
    return out


def _correct(run: Path) -> list[bool]:
    return [bool(row["correct"]) for row in folder.read_rows(run / folder.HELDOUT)]
