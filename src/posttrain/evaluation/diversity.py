"""How different a model's outputs are: for one input, and across inputs.

Source: Understanding the Effects of RLHF on LLM Generalisation and Diversity (arXiv 2310.06452) and its released code.
A metric gives a number for a set of texts. Applied to many samples of one prompt it says how much a model varies its
answer (per input, averaged over prompts); applied to one sample of each prompt, how much its answers to different
prompts have in common (across inputs). The paper takes 16 samples of about 500 prompts at temperature 1, with nothing
cut off; a lower temperature would make every model look as if it had collapsed. Compare only equal numbers of samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from posttrain.evaluation.accuracy import Answer
from posttrain.evaluation.bootstrap import mean_interval

Metric = Callable[[Sequence[str]], float]
"""A set of texts, in any order, -> how different they are."""


@dataclass(frozen=True)
class PerInput:
    """A metric over the samples of each input, averaged over inputs.

    Args:
        mean: over inputs.
        std: over inputs, unbiased; ``nan`` of a single input.
        ci95: bootstrapped over inputs.
        inputs: how many.
    """

    mean: float
    std: float
    ci95: tuple[float, float]
    inputs: int


def per_input(metric: Metric, outputs: Sequence[Sequence[str]]) -> PerInput:
    """How different the outputs for the same input are.

    Args:
        metric: of a set of texts.
        outputs: per input, its samples; as many for each.

    Raises:
        ValueError: there are inputs with one sample, of which nothing can be said, or with different numbers of them.
    """
    counts = {len(samples) for samples in outputs}
    if len(counts) != 1 or counts <= {0, 1}:
        raise ValueError(f"per-input diversity needs as many samples of each input, at least 2, got {sorted(counts)}")
    values = [metric(samples) for samples in outputs]
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    return PerInput(statistics.fmean(values), spread, mean_interval(values), len(values))


def across_inputs(metric: Metric, outputs: Sequence[Sequence[str]]) -> float:
    """How different the outputs for different inputs are: the metric of the first sample of each."""
    return metric([samples[0] for samples in outputs])


def distinct_correct(answers: Sequence[Sequence[Answer]]) -> float:
    """How many different correct responses a problem gets from its samples, on average over problems."""
    return statistics.fmean(len({a.response for a in row if a.correct}) for row in answers)
