"""``posttrain pretrain``: make a small base model from scratch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.cli import checks, failures, options
from posttrain.errors import unknown
from posttrain.settings.source import modules_in

EMBEDDED_CORPUS = "compact"
"""What the embedded model has read."""


def pretrain(
    out: options.Out = None,
    corpus: Annotated[str | None, typer.Option(help="What the model reads.", metavar="NAME")] = None,
    steps: options.Steps = None,
    documents_per_step: Annotated[int | None, typer.Option(help="Documents per update.", metavar="N")] = None,
    seed: options.Seed = None,
    precision: options.Precision = None,
) -> None:
    """Train a small base model from scratch on generated text and write it in Hugging Face format.

    After a training of full length on the corpus of the embedded model, the base is measured (fitness.json), and
    refused where a comparison of methods that start from it would prove nothing.
    """
    checks.at_least(1, {"steps": steps, "documents_per_step": documents_per_step})
    corpora = [name.rpartition(".")[2] for name in modules_in("pretraining/corpora")]
    if corpus is not None and corpus not in corpora:
        raise unknown("corpus", corpus, corpora)
    if precision not in (None, "auto", "float32", "bfloat16"):
        raise unknown("precision", precision, ["auto", "float32", "bfloat16"])
    folder = out or "runs/base"
    checks.unused(folder)
    failures.working_folder.set(Path(folder))
    from posttrain.pretraining.pretrain import PretrainSpec
    from posttrain.pretraining.pretrain import pretrain as carry_out
    from posttrain.runs.terminal import Terminal

    given: dict[str, Any] = {"corpus": corpus, "steps": steps, "documents_per_step": documents_per_step}
    given |= {"seed": seed, "precision": precision}
    spec = PretrainSpec(out=folder, **{name: value for name, value in given.items() if value is not None})
    with Terminal() as display:
        model = carry_out(spec, display)
    typer.echo(f"model: {model}")
    if spec.corpus == EMBEDDED_CORPUS and steps is None:
        _measure(model)


def _measure(model: Path) -> None:
    from posttrain.pretraining.fitness import measure, require

    fitness = measure(model)
    for field in dataclasses.fields(fitness):
        typer.echo(f"{field.name}: {getattr(fitness, field.name)}")
    require(fitness)
