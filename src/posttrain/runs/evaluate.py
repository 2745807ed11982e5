"""How well a model answers held-out problems from scratch, without any training, and how different its answers are."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.blocks import up_to
from posttrain.decoding.stop_temperature import Shifted, StopTemperature
from posttrain.decoding.thinking import Thinking
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer, pass_at_k, summarise
from posttrain.evaluation.diversity import Metric, across_inputs, distinct_correct, per_input
from posttrain.evaluation.ngrams import Distinct, ExpectationAdjusted
from posttrain.evaluation.similarity import NgramCosineDiversity
from posttrain.loading import load_policy
from posttrain.model_folder import located
from posttrain.policy import Policy
from posttrain.runs import folder
from posttrain.runs.answering import answer_in_batches, powers_of_two
from posttrain.runs.display import Display
from posttrain.runs.problems import RunProblems, keep_fitting, read_problems
from posttrain.runs.spec import RunSpec
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling
from posttrain.text import Text


@dataclass(frozen=True)
class StopScaling:
    """How readily a model ends its thinking; see :mod:`posttrain.decoding.stop_temperature`.

    Args:
        temperature: of the stop token's logit; below 1 thinking ends sooner.
        start, stop: the markers around the thinking, as text.
    """

    temperature: float
    start: str
    stop: str

    def rule(self, text: Text) -> StopTemperature:
        """The rule for a model's tokens.

        Raises:
            UserError: the tokenizer cannot represent a marker.
        """
        return StopTemperature(Thinking.between(text, self.start, self.stop), Shifted(self.temperature))


def evaluate(
    spec: RunSpec,
    max_new_tokens: int,
    display: Display,
    out: Path | None,
    problems: RunProblems | None = None,
    stopping: StopScaling | None = None,
) -> dict[str, Any]:
    """Answer the evaluation problems of ``spec`` greedily and, if ``base_samples`` is above 0, by sampling.

    Args:
        spec: model, problems, seed and precision; what concerns training is not read.
        max_new_tokens: longest answer.
        display: told of progress.
        out: a new folder for ``summary.json`` and ``heldout.jsonl``; ``None`` writes nothing.
        problems: those of ``spec`` if they have been read already.
        stopping: how readily the thinking ends; ``None`` leaves it to the model.

    Returns:
        ``accuracy``, ``ci95``, ``valid_rate``, ``n`` …, and if sampled ``pass_at_k`` by k and ``diversity``.
    """
    policy = load_policy(located(spec.model), local_runtime(spec.precision))
    problems = problems or read_problems(spec)
    examples, dropped = keep_fitting(problems.evaluation, policy.text.length, policy.context, spec.overlong)
    if dropped:
        display.say(f"left out {dropped} examples longer than the context")
    engine, limit = HuggingFaceEngine(), min(max_new_tokens, policy.context)
    engine.load(policy if spec.evaluation_depth is None else up_to(policy, spec.evaluation_depth), 0)
    rules = () if stopping is None else (stopping.rule(policy.text),)

    def answers(samples: int, temperature: float, activity: str) -> list[list[Answer]]:
        display.begin(activity, len(examples))
        sampling = Sampling(temperature, limit, rules)
        verify, text = problems.verify, policy.text
        return answer_in_batches(examples, verify, engine, text, sampling, samples, spec.seed, display.advance)

    greedy = [row[0] for row in answers(1, 0.0, "answering")]
    summary: dict[str, Any] = {"model": spec.model, **dataclasses.asdict(summarise(greedy)), "dropped": dropped}
    if stopping is not None:
        summary["stop_scaling"] = dataclasses.asdict(stopping)
    if spec.base_samples:
        sampled = answers(spec.base_samples, 1.0, f"sampling {spec.base_samples} each")
        summary["pass_at_k"] = {str(k): pass_at_k(sampled, k) for k in powers_of_two(spec.base_samples)}
        summary["diversity"] = diversity(sampled, policy)
    if out is not None:
        folder.claim(out)
        folder.write_rows(out / folder.HELDOUT, [{**dataclasses.asdict(a), "correct": a.correct} for a in greedy])
        folder.write_json(out / folder.SUMMARY, summary)
    return summary


def diversity(sampled: Sequence[Sequence[Answer]], policy: Policy) -> dict[str, Any]:
    """How different the sampled answers are, in the model's own tokens.

    Returns:
        ``per_input`` (left out of single samples) and ``across_inputs``, each with ``ead``, ``distinct`` and
        ``bag_of_tokens`` (one minus the mean cosine of the answers' token counts), and ``distinct_correct``.
    """
    tokenizer = policy.text.tokenizer

    @functools.cache
    def words(response: str) -> tuple[int, ...]:
        return tuple(tokenizer(response, add_special_tokens=False, verbose=False)["input_ids"])

    metrics: dict[str, Metric] = {
        "ead": ExpectationAdjusted(int(policy.model.config.vocab_size), words=words),
        "distinct": Distinct(words=words),
        "bag_of_tokens": NgramCosineDiversity((1,), words),
    }
    outputs = [[answer.response for answer in row] for row in sampled]
    found: dict[str, Any] = {"distinct_correct": distinct_correct(sampled)}
    if len(outputs[0]) > 1:
        found["per_input"] = {name: dataclasses.asdict(per_input(m, outputs)) for name, m in metrics.items()}
    if len(outputs) > 1:
        found["across_inputs"] = {name: across_inputs(metric, outputs) for name, metric in metrics.items()}
    return found
