"""How well a model answers held-out problems from scratch, without any training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer, pass_at_k, summarise
from posttrain.loading import load_policy
from posttrain.model_folder import located
from posttrain.runs import folder
from posttrain.runs.answering import answer_in_batches, powers_of_two
from posttrain.runs.display import Display
from posttrain.runs.problems import RunProblems, keep_fitting, read_problems
from posttrain.runs.spec import RunSpec
from posttrain.runtime import local_runtime
from posttrain.types import Sampling


def evaluate(
    spec: RunSpec, max_new_tokens: int, display: Display, out: Path | None, problems: RunProblems | None = None
) -> dict[str, Any]:
    """Answer the evaluation problems of ``spec`` greedily and, if ``base_samples`` is above 0, by sampling.

    Args:
        spec: model, problems, seed and precision; what concerns training is not read.
        max_new_tokens: longest answer.
        display: told of progress.
        out: a new folder for ``summary.json`` and ``heldout.jsonl``; ``None`` writes nothing.
        problems: those of ``spec`` if they have been read already.

    Returns:
        ``accuracy``, ``ci95``, ``valid_rate``, ``n`` …, and ``pass_at_k`` by k if sampled.
    """
    policy = load_policy(located(spec.model), local_runtime(spec.precision))
    problems = problems or read_problems(spec)
    examples, dropped = keep_fitting(problems.evaluation, policy.text.length, policy.context, spec.overlong)
    if dropped:
        display.say(f"left out {dropped} examples longer than the context")
    engine, limit = HuggingFaceEngine(), min(max_new_tokens, policy.context)
    engine.load(policy, 0)

    def answers(samples: int, temperature: float, activity: str) -> list[list[Answer]]:
        display.begin(activity, len(examples))
        sampling = Sampling(temperature, limit)
        verify, text = problems.verify, policy.text
        return answer_in_batches(examples, verify, engine, text, sampling, samples, spec.seed, display.advance)

    greedy = [row[0] for row in answers(1, 0.0, "answering")]
    summary: dict[str, Any] = {"model": spec.model, **dataclasses.asdict(summarise(greedy)), "dropped": dropped}
    if spec.base_samples:
        sampled = answers(spec.base_samples, 1.0, f"sampling {spec.base_samples} each")
        summary["pass_at_k"] = {str(k): pass_at_k(sampled, k) for k in powers_of_two(spec.base_samples)}
    if out is not None:
        folder.claim(out)
        folder.write_rows(out / folder.HELDOUT, [{**dataclasses.asdict(a), "correct": a.correct} for a in greedy])
        folder.write_json(out / folder.SUMMARY, summary)
    return summary
