"""``posttrain run``: one method, one model, one folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from posttrain.cli import checks, failures, options
from posttrain.cli.announcing import announce
from posttrain.cli.showing import print_results
from posttrain.cli.specification import run_spec, written_run
from posttrain.errors import UserError
from posttrain.runs import recipe_file
from posttrain.runs.folder import CHECKPOINT, SUMMARY, put_back
from posttrain.runs.spec import RunSpec


def run(
    target: Annotated[
        str | None, typer.Argument(metavar="METHOD|FILE.yaml", help="A method (posttrain list), or a run file.")
    ] = None,
    model: options.Model = None,
    task: options.Task = None,
    data: options.File = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    out: options.Out = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with the run in this folder, as if it had never stopped.", metavar="DIR")
    ] = None,
    assignments: options.Set = None,
    overlong: options.Overlong = None,
    precision: options.Precision = None,
    layers: options.Layers = None,
    training_examples: options.TrainingExamples = None,
    evaluation_examples: options.EvaluationExamples = None,
    evaluation_depth: options.EvaluationDepth = None,
    evaluate_every: options.EvaluateEvery = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Say in the report where the time of a step goes.")
    ] = False,
    preset: options.Preset = None,
) -> None:
    """Train a model by a method and write a folder of results.

    A run file has the names of these options as keys (method, model, task, data, steps, seed, arguments ...); options
    given here take the place of its keys. The recipe.yaml of a finished run is such a file and reproduces it.
    """
    given: dict[str, Any] = {"model": model, "task": task, "data": data, "steps": steps, "seed": seed, "out": out}
    given |= {"overlong": overlong, "precision": precision, "layers": layers}
    given |= {"training_examples": training_examples}
    given |= {"evaluation_examples": evaluation_examples, "evaluate_every": evaluate_every}
    given |= {"evaluation_depth": evaluation_depth, "profile": profile or None}
    if resume is not None:
        _resume(Path(resume), target, [name for name, value in given.items() if value is not None], assignments or [])
    elif target is None:
        raise UserError("name a method or a run file, as in posttrain run uft --task countdown --out runs/first")
    else:
        _start(run_spec(written_run(target), given, assignments or [], preset), preset)


def _start(spec: RunSpec, preset: str | None) -> None:
    checks.run_spec(spec)
    checks.unused(spec.out)
    problems = checks.problems(spec)  # before anything heavy: a malformed file is answered at once
    announce(preset, spec.model, [spec.method])
    failures.working_folder.set(Path(spec.out))
    from posttrain.runs.execute import run as carry_out
    from posttrain.runs.terminal import Terminal
    from posttrain.runs.training import Interrupted

    try:
        with Terminal() as display:
            carry_out(spec, display, problems=problems)
    except Interrupted as stop:
        _interrupted(stop)
    _done(Path(spec.out))


def _resume(path: Path, target: str | None, changed: list[str], assignments: list[str]) -> None:
    spec = recipe_file.read(path)
    if target not in (None, spec.method):
        raise UserError(f"{str(path)!r} is a run of {spec.method}, not of {target}; leave the method out with --resume")
    if changed or assignments:
        name = f"--{changed[0].replace('_', '-')}" if changed else f"--set {assignments[0]}"
        raise UserError(f"--resume goes on with exactly the run in {str(path)!r}; it cannot be combined with {name}")
    if (path / SUMMARY).is_file():
        typer.echo(f"{path} has finished; nothing is left to do")
        _done(path)
        return
    put_back(path / CHECKPOINT)
    if not (path / CHECKPOINT / "trainer.pt").is_file():
        raise UserError(f"{str(path)!r} holds no checkpoint to resume from; start the run again with another --out")
    failures.working_folder.set(path)
    from posttrain.runs.execute import resume as go_on
    from posttrain.runs.terminal import Terminal
    from posttrain.runs.training import Interrupted

    try:
        with Terminal() as display:
            go_on(path, display)
    except Interrupted as stop:
        _interrupted(stop)
    _done(path)


def _interrupted(stop: BaseException) -> None:
    failures.say(str(stop))
    raise SystemExit(failures.INTERRUPTED)


def _done(path: Path) -> None:
    print_results(path, Console())
