"""What can be refused before anything heavy is imported, and before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from posttrain.errors import UserError
from posttrain.model_folder import EMBEDDED, check_model
from posttrain.runs.folder import check_unused
from posttrain.runs.problems import RunProblems, read_problems
from posttrain.runs.spec import RunSpec

POSITIVE = ("training_examples", "evaluation_examples", "evaluation_tokens", "evaluation_depth", "evaluate_every")
NOT_NEGATIVE = ("steps", "base_samples", "rollouts_kept_per_step")


def at_least(least: int, numbers: Mapping[str, int | None]) -> None:
    """Refuse numbers below ``least``; ``None`` was not given.

    Raises:
        UserError: the first that is too small.
    """
    for name, value in numbers.items():
        if value is not None and value < least:
            needed = "cannot be negative" if least == 0 else f"must be at least {least}"
            raise UserError(f"{name} {needed}, got {value}")


def stop_temperature(temperature: float | None, thinking: tuple[str, str]) -> None:
    """Refuse a temperature that is none, and markers without text; ``None`` was not given.

    Raises:
        UserError: with the remedy.
    """
    if temperature is not None and not temperature > 0:
        raise UserError(f"stop_temperature lies above 0, got {temperature}; below 1 the thinking ends sooner")
    if not all(thinking):
        raise UserError("--thinking takes two texts, as in --thinking '<think>' '</think>'")


def one_source(task: object, file: str | None) -> None:
    """Refuse problems from nowhere or from two places, and a file that is not there.

    Raises:
        UserError: with the remedy.
    """
    if (task is None) == (file is None):
        raise UserError("give exactly one of --task NAME and --data FILE")
    if file is not None and not Path(file).is_file():
        raise UserError(f"there is no file {file!r} to read examples from")


def run_spec(spec: RunSpec) -> None:
    """Refuse a run that could only fail.

    Raises:
        UserError: numbers out of range, no problems, no model.
    """
    at_least(0, {name: getattr(spec, name) for name in NOT_NEGATIVE})
    at_least(1, {name: getattr(spec, name) for name in POSITIVE})
    one_source(spec.task, spec.data)
    if spec.model != EMBEDDED:
        check_model(spec.model)


def problems(spec: RunSpec) -> RunProblems:
    """The problems of a run, and a look at the embedded model, which a person does not give and so comes last.

    Raises:
        UserError: something in a file or a task's settings, or the model is missing.
    """
    read = read_problems(spec)
    check_model(spec.model)
    return read


def unused(out: str) -> None:
    """Refuse an output folder that holds something.

    Raises:
        UserError: naming ``--resume`` if what it holds is a run.
    """
    check_unused(Path(out))


def not_a_file(out: str) -> None:
    """Refuse a file where a folder is wanted; the folder itself may be in use.

    Raises:
        UserError: it is a file.
    """
    if Path(out).exists() and not Path(out).is_dir():
        raise UserError(f"{out!r} is a file; give a folder with --out")
