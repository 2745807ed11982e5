"""``posttrain pretrain``: make a small base model from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from posttrain.cli import checks, failures, options
from posttrain.errors import unknown
from posttrain.settings.source import modules_in


def pretrain(
    out: options.Out = None,
    corpus: Annotated[str | None, typer.Option(help="What the model reads.", metavar="NAME")] = None,
    steps: options.Steps = None,
    documents_per_step: Annotated[int | None, typer.Option(help="Documents per update.", metavar="N")] = None,
    seed: options.Seed = None,
    precision: options.Precision = None,
) -> None:
    """Train a small base model from scratch on generated text and write it in Hugging Face format."""
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
        typer.echo(f"model: {carry_out(spec, display)}")
