"""``posttrain evaluate``: how well a model answers, from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.cli import checks, failures, options
from posttrain.cli.specification import Written, run_spec


def evaluate(
    model: options.Model = None,
    task: options.Task = None,
    data: options.File = None,
    samples: Annotated[
        int, typer.Option(help="Answers sampled per problem, for pass@k and diversity; 0 is greedy only.", metavar="K")
    ] = 0,
    examples: Annotated[int, typer.Option(help="Held-out problems.", metavar="N")] = 500,
    seed: Annotated[int, typer.Option(help="Of the sampled answers.", metavar="N")] = 0,
    max_new_tokens: Annotated[int, typer.Option(help="Longest answer in tokens.", metavar="N")] = 1024,
    out: options.Out = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the task.", metavar="task.FIELD=VALUE")
    ] = None,
    overlong: options.Overlong = None,
    precision: options.Precision = None,
    evaluation_depth: options.EvaluationDepth = None,
    stop_temperature: Annotated[
        float | None,
        typer.Option(help="Of the token that ends the thinking; below 1 it ends sooner.", metavar="T"),
    ] = None,
    thinking: Annotated[
        tuple[str, str], typer.Option(help="What begins and what ends the thinking.", metavar="START STOP")
    ] = ("<think>", "</think>"),
) -> None:
    """Measure a model on held-out problems: greedy accuracy and, if asked for, pass@k and the answers' diversity."""
    checks.at_least(1, {"max_new_tokens": max_new_tokens})
    checks.stop_temperature(stop_temperature, thinking)
    given = {"model": model, "task": task, "data": data, "out": out, "evaluation_examples": examples, "seed": seed}
    given |= {"base_samples": samples, "overlong": overlong, "precision": precision, "training_examples": 1}
    given |= {"evaluation_depth": evaluation_depth}
    spec = run_spec(Written({"method": "sft"}), given, assignments or [])
    checks.run_spec(spec)
    if out is not None:
        checks.unused(out)
        failures.working_folder.set(Path(out))
    problems = checks.problems(spec)
    from posttrain.runs.evaluate import StopScaling
    from posttrain.runs.evaluate import evaluate as carry_out
    from posttrain.runs.terminal import Terminal

    stopping = None if stop_temperature is None else StopScaling(stop_temperature, *thinking)
    with Terminal() as display:
        summary = carry_out(spec, max_new_tokens, display, None if out is None else Path(out), problems, stopping)
    _report(summary)


def _report(summary: Mapping[str, Any]) -> None:
    low, high = summary["ci95"]
    typer.echo(f"accuracy {summary['accuracy']:.1%} (95%: {low:.1%} … {high:.1%}) on {summary['n']} problems")
    for k, value in summary.get("pass_at_k", {}).items():
        typer.echo(f"pass@{k} {value:.1%}")
    if "per_input" in summary.get("diversity", {}):
        ead = summary["diversity"]["per_input"]["ead"]
        low, high = ead["ci95"]
        typer.echo(f"diversity per problem (EAD) {ead['mean']:.3f} (95%: {low:.3f} … {high:.3f})")
