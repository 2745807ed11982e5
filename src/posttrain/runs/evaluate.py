"""How well a model answers held-out problems from scratch, without any training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer, Verify, answer_all, pass_at_k, summarise
from posttrain.loading import load_policy
from posttrain.runs import folder
from posttrain.runs.display import Display
from posttrain.runs.execute import model_folder
from posttrain.runs.problems import keep_fitting, read_problems
from posttrain.runs.spec import RunSpec
from posttrain.runtime import local_runtime
from posttrain.text import Text
from posttrain.types import Example, Sampling

BATCH = 64
"""Problems between two movements of the bar; changes nothing else."""


def evaluate(spec: RunSpec, max_new_tokens: int, display: Display, out: Path | None) -> dict[str, Any]:
    """Answer the evaluation problems of ``spec`` greedily and, if ``base_samples`` is above 0, by sampling.

    Args:
        spec: model, problems, seed and precision; what concerns training is not read.
        max_new_tokens: longest answer.
        display: told of progress.
        out: a new folder for ``summary.json`` and ``heldout.jsonl``; ``None`` writes nothing.

    Returns:
        ``accuracy``, ``ci95``, ``valid_rate``, ``n`` …, and ``pass_at_k`` by k if sampled.
    """
    policy = load_policy(model_folder(spec.model), local_runtime(spec.precision))
    problems = read_problems(spec)
    examples, dropped = keep_fitting(problems.evaluation, policy.text.length, policy.context, spec.overlong)
    if out is not None:
        folder.claim(out)
    engine, limit = HuggingFaceEngine(), min(max_new_tokens, policy.context)
    engine.load(policy, 0)
    work = _Work(problems.verify, engine, policy.text, limit, spec.seed, display)
    greedy = [row[0] for row in work.answers(examples, 1, 0.0, "answering")]
    summary: dict[str, Any] = {"model": spec.model, **dataclasses.asdict(summarise(greedy)), "dropped": dropped}
    if spec.base_samples:
        sampled = work.answers(examples, spec.base_samples, 1.0, f"sampling {spec.base_samples} each")
        powers = [2**i for i in range(spec.base_samples.bit_length())]
        summary["pass_at_k"] = {str(k): pass_at_k(sampled, k) for k in powers}
    if out is not None:
        rows = [{**dataclasses.asdict(answer), "correct": answer.correct} for answer in greedy]
        folder.append_rows(out / folder.HELDOUT, rows)
        folder.write_json(out / folder.SUMMARY, summary)
    return summary


@dataclass(frozen=True, eq=False)
class _Work:
    verify: Verify
    engine: HuggingFaceEngine
    text: Text
    max_new_tokens: int
    seed: int
    display: Display

    def answers(
        self, examples: Sequence[Example], samples: int, temperature: float, activity: str
    ) -> list[list[Answer]]:
        """Answer in batches, so that there is something to see."""
        self.display.begin(activity, len(examples))
        sampling = Sampling(temperature, self.max_new_tokens)
        rows: list[list[Answer]] = []
        for at in range(0, len(examples), BATCH):
            batch, seed = examples[at : at + BATCH], self.seed + at
            rows += answer_all(batch, self.verify, self.engine, self.text, sampling, samples, seed)
            self.display.advance(len(rows))
        return rows
