"""Methods side by side: tuned on the validation split, measured on the held-out one over several seeds.

The budget is sampled completions: arms with a sampled phase should get the same number of them, and where their
settings make them differ it is said; arms without one get the same number of updates. What a method uses besides
(supervised updates, hinted and therefore shorter completions) is reported beside its accuracy.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posttrain.errors import UserError
from posttrain.runs import folder, recipe_file
from posttrain.runs.budget import said_of_budgets, shared_updates, with_equal_updates
from posttrain.runs.display import Display
from posttrain.runs.divergence import reason
from posttrain.runs.jobs import finished, run_all
from posttrain.runs.problems import RunProblems
from posttrain.runs.shared_base import shared_base
from posttrain.runs.spec import RunSpec
from posttrain.settings.overrides import apply, settings_named

COMPARISON, PAIRED, TUNING = "comparison.json", "paired.json", "tuning.json"
ONLY_AT_THE_END = 1_000_000
TUNING_SEED = 1_000
"""Tuning runs never share a seed with the measured ones."""
UNFIT_FOR_A_NAME = re.compile(r"[^\w.+=-]+")


@dataclass(frozen=True)
class CompareSpec:
    """A comparison.

    Args:
        arms: name -> method; the arms, in the order in which they are shown. A method may stand in several.
        out: the comparison's folder.
        run: what all arms share; its method, folder and seed are replaced.
        seeds: measured runs per arm, seeds 0 … seeds - 1.
        tune: settings and their candidate values, tuned one after the other in this order on the validation split;
            an arm that lacks a setting passes over it.
        arguments: per arm, its method's arguments.
        workers: runs at a time.
    """

    arms: Mapping[str, str]
    out: str
    run: RunSpec
    seeds: int = 3
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse empty comparisons."""
        if not self.arms:
            raise UserError("name at least one method to compare")
        if self.seeds < 1:
            raise UserError(f"--seeds must be at least 1, got {self.seeds}")


def compare(spec: CompareSpec, display: Display, problems: RunProblems | None = None) -> list[dict[str, Any]]:
    """Tune, run, and write ``comparison.json``, ``paired.json`` and ``report.html``; finished runs are kept.

    The three files are written anew after every finished run, so that a comparison that is stopped has a report.

    Args:
        spec: what to compare.
        display: told of progress.
        problems: those of ``spec.run`` if they have been read already.

    Returns:
        The rows of ``comparison.json``, one per method and seed.

    Raises:
        UserError: a measured run diverged, or every candidate of a tuned setting; the other runs have been finished.
    """
    path = Path(spec.out)
    with folder.disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    as_set = {
        arm: dataclasses.replace(spec.run, method=method, arguments=spec.arguments.get(arm, {}))
        for arm, method in spec.arms.items()
    }
    for sentence in said_of_budgets(as_set, shared_updates(spec.arms, spec.arguments)):
        display.say(sentence)
    base = shared_base(next(iter(as_set.values())), path, display, problems)
    chosen = _tuned(spec, display)
    runs = [(arm, _run_spec(spec, arm, seed, chosen[arm])) for seed in range(spec.seeds) for arm in spec.arms]
    write_results(spec, runs)
    specs = [run for _, run in runs]
    run_all(specs, base, spec.workers, display, "comparing", lambda: write_results(spec, runs))
    rows = write_results(spec, runs)
    _refuse_diverged(runs)
    return rows


def _refuse_diverged(runs: Sequence[tuple[str, RunSpec]]) -> None:
    """Say which measured run has no result; an arm without one of its seeds is no arm to compare."""
    for arm, run in runs:
        why = None if finished(run) else reason(Path(run.out))
        if why is not None:
            raise UserError(
                f"{arm} with seed {run.seed} diverged ({why}); give it a lower learning rate, as in "
                f"--set {arm}:learning_rate=1e-5, and another folder with --out"
            )


def write_results(spec: CompareSpec, runs: Sequence[tuple[str, RunSpec]]) -> list[dict[str, Any]]:
    """Write rows, pairs and page of the runs that have finished; nothing if there is none.

    Args:
        spec: the comparison.
        runs: the name of an arm and one of its runs.
    """
    path = Path(spec.out)
    done = [(arm, run) for arm, run in runs if finished(run)]
    rows = [_row(path, arm, run, folder.read_json(Path(run.out) / folder.SUMMARY)) for arm, run in done]
    if rows:
        folder.write_json(path / COMPARISON, rows)
        folder.write_json(path / PAIRED, paired_rows(path, _of_complete_seeds(rows, len(spec.arms)), tuple(spec.arms)))
        from posttrain.report.comparison_page import write_comparison_page

        with folder.disk_errors(path):
            write_comparison_page(path)
    return rows


def _of_complete_seeds(rows: Sequence[Mapping[str, Any]], arms: int) -> list[Mapping[str, Any]]:
    """The rows of the seeds that every arm has finished: pairs need both sides."""
    seeds = [row["seed"] for row in rows]
    return [row for row in rows if seeds.count(row["seed"]) == arms]


@dataclass(frozen=True)
class _Chosen:
    """An arm's arguments, and the tuned values among them as they were written."""

    arguments: Mapping[str, Any]
    tuned: tuple[str, ...] = ()

    def name(self, arm: str, seed: int) -> str:
        """A folder's name: runs with other tuned values are other runs."""
        return "-".join(UNFIT_FOR_A_NAME.sub("_", part) for part in (arm, *self.tuned, f"seed{seed}"))


def _run_spec(spec: CompareSpec, arm: str, seed: int, chosen: _Chosen) -> RunSpec:
    out = str(Path(spec.out) / "runs" / chosen.name(arm, seed))
    run = dataclasses.replace(spec.run, method=spec.arms[arm], seed=seed, out=out, arguments=chosen.arguments)
    return with_equal_updates(run, shared_updates(spec.arms, spec.arguments))


def _tuned(spec: CompareSpec, display: Display) -> dict[str, _Chosen]:
    """Per arm its arguments, with every tuned setting at its best value on the validation split."""
    chosen = {arm: _Chosen(spec.arguments.get(arm, {})) for arm in spec.arms}
    for setting, values in spec.tune.items():
        arms = [arm for arm, method in spec.arms.items() if settings_named(method, setting)]
        candidates = {arm: [_with(spec.arms[arm], chosen[arm], setting, value) for value in values] for arm in arms}
        specs = [_tuning_spec(spec, arm, candidate) for arm in arms for candidate in candidates[arm]]
        summaries = run_all(specs, {}, spec.workers, display, f"tuning {setting}")
        for index, arm in enumerate(arms):
            own = summaries[index * len(values) : (index + 1) * len(values)]
            accuracies = [-1.0 if summary is None else float(summary["accuracy"]) for summary in own]
            best = max(range(len(values)), key=lambda i: accuracies[i])
            _record_tuning(Path(spec.out), arm, setting, values, own, best)
            if own[best] is None:
                raise UserError(f"{arm} diverged with every {setting} that was tried; try lower learning rates")
            chosen[arm] = candidates[arm][best]
            display.say(f"{arm}: {setting} = {values[best]} (validation accuracy {accuracies[best]:.1%})")
    return chosen


def _with(method: str, chosen: _Chosen, setting: str, value: Any) -> _Chosen:
    assignment = f"{setting}={value}"
    return _Chosen(apply(method, chosen.arguments, [assignment]), (*chosen.tuned, assignment))


def _tuning_spec(spec: CompareSpec, arm: str, candidate: _Chosen) -> RunSpec:
    out = str(Path(spec.out) / "tuning" / candidate.name(arm, TUNING_SEED))
    run = dataclasses.replace(spec.run, method=spec.arms[arm], seed=TUNING_SEED, out=out, arguments=candidate.arguments)
    run = with_equal_updates(run, shared_updates(spec.arms, spec.arguments))
    return dataclasses.replace(
        run, evaluation_split="validation", rollouts_kept_per_step=0, evaluate_every=ONLY_AT_THE_END
    )


def _record_tuning(
    path: Path,
    arm: str,
    setting: str,
    values: Sequence[Any],
    summaries: Sequence[Mapping[str, Any] | None],
    best: int,
) -> None:
    known = folder.read_json(path / TUNING)["rows"] if (path / TUNING).exists() else []
    kept = [row for row in known if (row["method"], row["setting"]) != (arm, setting)]
    kept += [
        {
            "method": arm,
            "setting": setting,
            "value": str(value),
            "chosen": index == best and summary is not None,
            "diverged": summary is None,
            **{key: None if summary is None else summary[key] for key in ("accuracy", "ci95", "n", "training_seconds")},
        }
        for index, (value, summary) in enumerate(zip(values, summaries))
    ]
    folder.write_json(path / TUNING, {"rows": kept})


def _row(path: Path, arm: str, spec: RunSpec, summary: Mapping[str, Any]) -> dict[str, Any]:
    resolved = recipe_file.read(Path(spec.out)).arguments
    keys = ("seed", "accuracy", "ci95", "valid_rate", "n", "steps", "completions_sampled", "tokens_sampled")
    more = ("tokens_trained", "updates", "flops", "training_seconds", "seconds")
    return {
        "method": arm,
        "variant_of": None if arm == spec.method else spec.method,
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


def paired_rows(path: Path, rows: Sequence[Mapping[str, Any]], arms: Sequence[str]) -> list[dict[str, Any]]:
    """Every pair of arms: difference of accuracies on the same problems, bootstrapped over seeds and problems."""
    from posttrain.evaluation.accuracy import paired_difference

    correct = {arm: [_correct(path / row["run"]) for row in rows if row["method"] == arm] for arm in arms}
    out: list[dict[str, Any]] = []
    if not rows:
        return out
    for i, first in enumerate(arms):
        for second in arms[i + 1 :]:
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
