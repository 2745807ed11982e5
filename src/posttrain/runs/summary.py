"""``summary.json``: what a finished run came to."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from posttrain.runs import folder
from posttrain.runs.prepare import Prepared
from posttrain.spent import Spent

EVALUATION_KEYS = ("accuracy", "ci95", "valid_rate", "n", "unscorable", "mean_tokens")


def write_summary(prepared: Prepared, spent: Spent, base: Mapping[str, Any]) -> dict[str, Any]:
    """Write the summary from the last evaluation and return it."""
    last = folder.read_rows(prepared.path / folder.EVALUATIONS)[-1]
    summary = {
        "method": prepared.spec.method,
        "seed": prepared.spec.seed,
        "steps": prepared.recipe.total_steps,
        **{key: last[key] for key in EVALUATION_KEYS},
        "evaluation_split": prepared.spec.evaluation_split,
        "completions_sampled": spent.completions_sampled,
        "tokens_sampled": spent.tokens_sampled,
        "tokens_trained": spent.tokens_trained,
        "answers_unscorable": spent.answers_unscorable,
        "examples_dropped": prepared.dropped,
        "updates": spent.updates,
        "flops": spent.flops,
        "training_seconds": spent.seconds,
        "seconds": prepared.seconds,
        "parameters": prepared.policy.parameters_count,
        "base": dict(base),
        "versions": versions(),
    }
    folder.write_json(prepared.path / folder.SUMMARY, summary)
    return summary


def versions() -> dict[str, str]:
    """The software that made a run."""
    import transformers

    import posttrain

    return {
        "posttrain": posttrain.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
