"""``posttrain compare``: methods side by side, tuned first, over several seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.cli import checks, failures, options
from posttrain.cli.announcing import announce
from posttrain.cli.specification import Written, chosen_preset, run_spec
from posttrain.errors import UserError, unknown
from posttrain.runs.budget import refuse_tuned_budget
from posttrain.runs.compare import CompareSpec
from posttrain.runs.problems import read_problems
from posttrain.settings.catalogue import method as described
from posttrain.settings.catalogue import method_names
from posttrain.settings.overrides import apply, settings_named
from posttrain.settings.presets import settings_for

ARM_NAME = re.compile(r"[\w-]+")
OUTSIDE_BRACKETS = re.compile(r",(?![^\[{(]*[\]})])")


def compare(
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="METHOD...",
            help="The arms, e.g. sft rft uft; NAME=METHOD for a method with several, as in narrow=lora wide=lora.",
        ),
    ],
    model: options.Model = None,
    task: options.Task = None,
    data: options.File = None,
    steps: options.Steps = None,
    seeds: Annotated[int, typer.Option(help="Measured runs per arm.", metavar="N")] = 3,
    tune: Annotated[
        list[str] | None,
        typer.Option(help="Choose a setting on the validation split first.", metavar="NAME=A,B,C"),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting of one arm or of all.", metavar="[ARM:]PATH=VALUE"),
    ] = None,
    workers: Annotated[int, typer.Option(help="Runs at a time.", metavar="N")] = 1,
    out: options.Out = None,
    overlong: options.Overlong = None,
    precision: options.Precision = None,
    layers: options.Layers = None,
    training_examples: options.TrainingExamples = None,
    evaluation_examples: options.EvaluationExamples = None,
    evaluation_depth: options.EvaluationDepth = None,
    evaluate_every: options.EvaluateEvery = None,
    preset: options.Preset = None,
) -> None:
    """Compare methods on the same problems over several seeds.

    Finished runs are kept: the same command on the same folder goes on where it stopped.
    """
    given: dict[str, Any] = {"model": model, "task": task, "data": data, "steps": steps, "out": out or "runs/compare"}
    given |= {"overlong": overlong, "precision": precision, "layers": layers}
    given |= {"training_examples": training_examples}
    given |= {"evaluation_examples": evaluation_examples, "evaluate_every": evaluate_every}
    given |= {"evaluation_depth": evaluation_depth}
    _start(compare_spec(methods, given, seeds, tune or [], assignments or [], workers, preset), preset)


def compare_spec(
    methods: Sequence[str],
    given: Mapping[str, Any],
    seeds: int,
    tune: Sequence[str],
    assignments: Sequence[str],
    workers: int,
    preset_name: str | None = None,
) -> CompareSpec:
    """The comparison that is meant, checked without importing what it names.

    Raises:
        UserError: an unknown method or setting, a value that does not fit, problems or a model that are not there.
    """
    checks.at_least(1, {"seeds": seeds, "workers": workers})
    arms = named_arms(methods)
    of_task, per_arm = shared_out(arms, assignments)
    shared = run_spec(Written({"method": next(iter(arms.values()))}), given, of_task, preset_name)
    chosen = chosen_preset(preset_name, shared.model)
    checks.run_spec(shared)
    checks.not_a_file(shared.out)
    arguments = {arm: apply(method, settings_for(chosen, method), per_arm[arm]) for arm, method in arms.items()}
    candidates = tuning(arms, tune, arguments)
    refuse_tuned_budget(arms, candidates)
    return CompareSpec(arms, shared.out, shared, seeds, candidates, arguments, workers)


def _start(spec: CompareSpec, preset: str | None) -> None:
    problems = checks.problems(spec.run)
    if spec.tune:
        read_problems(replace(spec.run, evaluation_split="validation"))
    announce(preset, spec.run.model, list(dict.fromkeys(spec.arms.values())))
    failures.working_folder.set(Path(spec.out))
    from posttrain.runs.compare import compare as carry_out
    from posttrain.runs.terminal import Terminal

    try:
        with Terminal() as display:
            carry_out(spec, display, problems)
    except KeyboardInterrupt:
        failures.say(f"stopped; the same command goes on with {spec.out}")
        raise SystemExit(failures.INTERRUPTED) from None
    typer.echo(f"comparison: {Path(spec.out) / 'report.html'}")


def named_arms(written: Sequence[str]) -> dict[str, str]:
    """Arms by name, each with its method: ``lora`` is the arm of that name, ``narrow=lora`` the arm ``narrow``.

    Raises:
        UserError: an unknown method, a name that stands twice or is no word, or that is another method's.
    """
    arms: dict[str, str] = {}
    for text in written:
        name, equals, method = text.partition("=")
        method = method if equals else name
        described(method)
        if not ARM_NAME.fullmatch(name):
            raise UserError(f"an arm's name is made of letters, digits, _ and -, got {name!r}")
        if name != method and name in method_names():
            raise UserError(f"{text!r} would call an arm by the name of another method; call it something else")
        if name in arms:
            raise UserError(f"two arms are called {name!r}; name one of them, as in second={method}")
        arms[name] = method
    return arms


def shared_out(arms: Mapping[str, str], assignments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Assignments of the task, and per arm its own: those with its name before a colon and those for all.

    Raises:
        UserError: an arm that is not compared, or a setting that none of them has.
    """
    of_task: list[str] = []
    per_arm: dict[str, list[str]] = {name: [] for name in arms}
    for assignment in assignments:
        path = assignment.partition("=")[0]
        arm, colon, _ = path.partition(":")
        if path.startswith("task."):
            of_task.append(assignment)
        elif colon and arm not in per_arm:
            raise unknown("arm of this comparison", arm, arms)
        elif colon:
            per_arm[arm].append(assignment[len(arm) + 1 :])
        else:
            for name in _having(arms, path, assignment):
                per_arm[name].append(assignment)
    return of_task, per_arm


def tuning(
    arms: Mapping[str, str], tune: Sequence[str], arguments: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """Settings to tune and their candidate values as written, checked for every arm that has the setting.

    Raises:
        UserError: not of the form NAME=A,B,C, a setting that no arm has, or a value that does not fit.
    """
    candidates: dict[str, tuple[str, ...]] = {}
    for option in tune:
        name, equals, text = option.partition("=")
        values = tuple(value.strip() for value in OUTSIDE_BRACKETS.split(text))
        if not equals or not all(values):
            raise UserError(f"--tune takes name=a,b,c, as in --tune learning_rate=1e-4,3e-4, got {option!r}")
        if name in candidates or len(set(values)) != len(values):
            raise UserError(f"--tune {name} names something twice; give every value once")
        for arm in _having(arms, name, f"{name}={values[0]}"):
            for value in values:
                apply(arms[arm], arguments[arm], [f"{name}={value}"])
        candidates[name] = values
    return candidates


def _having(arms: Mapping[str, str], path: str, assignment: str) -> list[str]:
    having = [arm for arm, method in arms.items() if settings_named(method, path)]
    last = list(arms)[-1]
    if not having:
        apply(arms[last], {}, [assignment])  # says what is unknown, and what is near it
    return having or [last]
