"""The base of a comparison: measured once for all arms, and only for the problems that it was measured on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from posttrain.errors import UserError
from posttrain.runs import folder
from posttrain.runs.display import Display
from posttrain.runs.problems import RunProblems, read_problems
from posttrain.runs.spec import RunSpec

MEASURED_FOR = "base_measured_for.json"
READ = ("model", "task", "data", "data_seed", "training_examples", "overlong")
EVALUATED = ("evaluation_examples", "evaluation_split", "evaluation_tokens", "evaluation_depth", "base_samples")


def shared_base(run: RunSpec, path: Path, display: Display, problems: RunProblems | None) -> dict[str, Any]:
    """The base's summary in a comparison's folder; measured if it is not known what the one that is there is of.

    Raises:
        UserError: the one that is there was measured for something else.
    """
    meant = folder.plain({name: dataclasses.asdict(run)[name] for name in (*READ, *EVALUATED)})
    known, note = path / folder.BASE, path / MEASURED_FOR
    if known.exists() and note.exists():
        _refuse_another(path, folder.read_json(note), meant)
        return folder.read_json(known)
    from posttrain.runs.base import measure_base
    from posttrain.runs.prepare import prepare

    folder.write_json(known, measure_base(prepare(run, problems or read_problems(run), display)))
    folder.write_json(note, meant)
    return folder.read_json(known)


def _refuse_another(path: Path, there: dict[str, Any], meant: dict[str, Any]) -> None:
    different = next((name for name in meant if there.get(name) != meant[name]), None)
    if different is not None:
        raise UserError(
            f"the base in {str(path)!r} was measured with {different} = {there.get(different)!r}, "
            f"not {meant[different]!r}; give another folder with --out"
        )
