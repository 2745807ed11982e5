"""What a run is, as written in ``recipe.yaml``: plain values only, so that reading it again gives the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from posttrain.model_folder import EMBEDDED as EMBEDDED

Overlong = Literal["drop", "error"]
EvaluationSplit = Literal["heldout", "validation"]
Precision = Literal["auto", "float32", "bfloat16"]
Layers = Literal["eager", "compiled"]


@dataclass(frozen=True)
class RunSpec:
    """One training run.

    Args:
        method: a file under ``methods/``.
        out: the run's folder; it must not hold another run.
        model: ``embedded``, or a folder in Hugging Face format.
        task: ``{"name": ..., field: value}``; exactly one of ``task`` and ``data`` is given.
        data: a ``.jsonl`` or ``.parquet`` file of examples.
        steps: collections (for ``sft``: updates); ``None`` takes the method's default.
        seed: of everything random in the run.
        arguments: the method's other arguments, nested; parts by their snake_case name.
        training_examples: problems to train on, all distinct.
        data_seed: of the generated problems, so that arms and seeds can share them.
        evaluation_examples: problems to evaluate on, never among the training problems.
        evaluation_split: ``heldout`` for results, ``validation`` for choosing settings.
        evaluation_tokens: longest answer in evaluations, the same for every method.
        evaluation_depth: how many layers answer in evaluations, with the model's norm and head; ``None``: all.
        evaluate_every: steps between evaluations; one at the start and one at the end are always made.
        base_samples: sampled answers per problem for the base's pass@k; 0 leaves it out.
        overlong: what happens to examples longer than the model's context.
        precision: of matrix products; weights are float32 always.
        layers: ``compiled`` has torch compile the layers for training passes, which changes rounding.
        rollouts_kept_per_step: answers written to ``rollouts.jsonl`` in each step.
        profile: whether ``profile.jsonl`` and the report say where the time of the steps goes.
    """

    method: str
    out: str
    model: str = EMBEDDED
    task: Mapping[str, Any] | None = None
    data: str | None = None
    steps: int | None = None
    seed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    training_examples: int = 2000
    data_seed: int = 0
    evaluation_examples: int = 500
    evaluation_split: EvaluationSplit = "heldout"
    evaluation_tokens: int = 1024
    evaluation_depth: int | None = None
    evaluate_every: int = 25
    base_samples: int = 16
    overlong: Overlong = "drop"
    precision: Precision = "auto"
    layers: Layers = "eager"
    rollouts_kept_per_step: int = 16
    profile: bool = False
