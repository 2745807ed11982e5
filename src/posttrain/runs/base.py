"""How well the model answers before any training: the row at step 0 of every learning curve."""

from __future__ import annotations

import dataclasses
from typing import Any

from posttrain.evaluation.accuracy import pass_at_k, summarise
from posttrain.runs.answering import powers_of_two
from posttrain.runs.prepare import Prepared


def measure_base(prepared: Prepared) -> dict[str, Any]:
    """Greedy accuracy of the untrained model and, if asked for, its sampled pass@k."""
    samples, problems = prepared.spec.base_samples, len(prepared.problems.evaluation)
    display = prepared.display
    display.begin("base model", problems * (1 + samples))
    greedy = [row[0] for row in prepared.answers(1, 0.0, 0, lambda done: display.advance(done, "greedy"))]
    summary: dict[str, Any] = dataclasses.asdict(summarise(greedy))
    if samples:
        note = f"{samples} samples each"
        sampled = prepared.answers(samples, 1.0, 0, lambda done: display.advance(problems + done * samples, note))
        summary["pass_at_k"] = {str(k): pass_at_k(sampled, k) for k in powers_of_two(samples)}
    return summary
