"""The problems of a run: training and evaluation examples, from a task or a file, checked before anything heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posttrain.data.subset import those
from posttrain.errors import UserError
from posttrain.rewards.failure import Judging
from posttrain.runs.spec import RunSpec
from posttrain.types import Example, Verdict, Verify

if TYPE_CHECKING:
    from posttrain.tasks.base import Task

OVERLONG_LIMIT = 0.05
"""The largest share of examples that may be dropped for length before it is an error."""


@dataclass(frozen=True, eq=False)
class RunProblems:
    """Examples and their verifier."""

    training: Sequence[Example]
    evaluation: Sequence[Example]
    verify: Verify


def read_problems(spec: RunSpec) -> RunProblems:
    """Generate or read the examples of a run; needs no torch.

    Raises:
        UserError: neither or both of ``task`` and ``data``, or something wrong in them.
    """
    if (spec.task is None) == (spec.data is None):
        raise UserError("give exactly one of --task NAME and --data FILE")
    for name in ("training_examples", "evaluation_examples"):
        if getattr(spec, name) < 1:
            raise UserError(f"{name} must be at least 1, got {getattr(spec, name)}")
    source = task_named(spec.task) if spec.task is not None else _file(spec)
    return RunProblems(
        training=source.examples("train", spec.training_examples, spec.data_seed),
        evaluation=source.examples(spec.evaluation_split, spec.evaluation_examples, spec.data_seed),
        verify=_showing_the_example(source.verify),
    )


def _showing_the_example(verify: Verify) -> Verify:
    """In training as in evaluation, a verifier that raises stops the run with the example that provoked it."""

    def judged(response: str, example: Example) -> Verdict:
        with Judging(example, response):
            return verify(response, example)

    return judged


def _file(spec: RunSpec) -> Task:
    from posttrain.data.reading import read_examples

    # Whether demonstrations are needed is for the method to say: reinforcement does without.
    return read_examples(Path(str(spec.data)), demonstrations="optional")


def task_named(description: Mapping[str, Any]) -> Task:
    """The task of a ``{"name": ..., field: value}`` mapping."""
    from posttrain.settings.tasks import build_task

    return build_task(description)


def keep_fitting(
    examples: Sequence[Example], length: Callable[[Example], int], context: int, overlong: str
) -> tuple[Sequence[Example], int]:
    """The examples that fit into the model's context, and how many did not.

    Raises:
        UserError: some do not fit and ``overlong`` is ``error``, or more than 5% do not, or none is left.
    """
    kept = those(examples, lambda example: length(example) <= context)
    dropped = len(examples) - len(kept)
    if not dropped:
        return examples, 0
    sentence = f"{dropped} of {len(examples)} examples are longer than the model's context of {context} tokens"
    if overlong == "error":
        raise UserError(f"{sentence}; --overlong drop leaves them out")
    if not kept or dropped > OVERLONG_LIMIT * len(examples):
        raise UserError(f"{sentence}, which is more than can be left out; use a model with a longer context")
    return kept, dropped
