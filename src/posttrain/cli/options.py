"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(help="Folder of a base model in Hugging Face format; the embedded one if not given.", metavar="DIR"),
]
Task = Annotated[
    str | None,
    typer.Option(help="Task that makes the problems; its settings by --set task.FIELD=value.", metavar="NAME"),
]
File = Annotated[
    str | None,
    typer.Option("--data", help="Examples from a .jsonl or .parquet file.", metavar="FILE"),
]
Steps = Annotated[
    int | None,
    typer.Option(help="Length of the training; the method's own if not given.", metavar="N"),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Of everything random; 0 if not given.", metavar="N"),
]
Out = Annotated[
    str | None,
    typer.Option(help="Folder of the results.", metavar="DIR"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, e.g. learning_rate=1e-4 or hints.start=0.9.", metavar="PATH=VALUE"),
]
Overlong = Annotated[
    str | None,
    typer.Option(help="Examples longer than the context: drop (and count them) or error.", metavar="drop|error"),
]
Precision = Annotated[
    str | None,
    typer.Option(help="Of matrix products; weights are float32.", metavar="auto|float32|bfloat16"),
]
Layers = Annotated[
    str | None,
    typer.Option(
        help="In training passes: as they are, or compiled by torch, which takes a while first.",
        metavar="eager|compiled",
    ),
]
TrainingExamples = Annotated[
    int | None,
    typer.Option(help="Problems to train on.", metavar="N"),
]
EvaluationExamples = Annotated[
    int | None,
    typer.Option(help="Held-out problems to evaluate on.", metavar="N"),
]
EvaluationDepth = Annotated[
    int | None,
    typer.Option(help="Let the first N layers alone answer, with the model's norm and head.", metavar="N"),
]
EvaluateEvery = Annotated[
    int | None,
    typer.Option(help="Steps between evaluations.", metavar="N"),
]
Preset = Annotated[
    str | None,
    typer.Option(help="Settings for a kind of model; the embedded model has tiny unless told none.", metavar="NAME"),
]
