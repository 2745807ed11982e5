"""Runs that a claim needs before anything can be measured; finished ones are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.cli.specification import run_spec, written_run
from posttrain.runs import folder
from posttrain.runs.compare import ONLY_AT_THE_END
from posttrain.runs.display import Silent
from posttrain.runs.execute import run

TINY = "tiny"
ONCE = {"evaluate_every": ONLY_AT_THE_END, "rollouts_kept_per_step": 0}


def trained(out: Path, method: str, options: Mapping[str, Any], assignments: Sequence[str] = ()) -> Path:
    """The model that a run came to.

    Args:
        out: the run's folder.
        method: its name.
        options: fields of a run, as on the command line.
        assignments: ``path=value``, as after ``--set``.
    """
    if not (out / folder.SUMMARY).is_file():
        spec = run_spec(written_run(method), {**ONCE, **options, "out": str(out)}, assignments, TINY)
        run(spec, Silent(), base={})
    return out / folder.CHECKPOINT
