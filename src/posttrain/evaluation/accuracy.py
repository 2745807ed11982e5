"""Accuracy with intervals: greedy pass@1, and the unbiased pass@k of sampled answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posttrain.arrivals import in_order
from posttrain.beside import Beside
from posttrain.evaluation.bootstrap import interval, resampled_means
from posttrain.protocols import Engine
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import FULL_SCORE, Example, Progress, Verify


@dataclass(frozen=True)
class Answer:
    """One judged answer to a held-out problem; an unscorable one counts as wrong here, and is counted."""

    example_id: str
    response: str
    score: float | None
    reason: str
    valid: bool
    tokens: int

    @property
    def correct(self) -> bool:
        """Whether the verifier gave the full score."""
        return self.score == FULL_SCORE


@dataclass(frozen=True)
class Accuracy:
    """A share with its 95% interval.

    Args:
        accuracy: share of correct answers, 0 … 1.
        ci95: Wilson's score interval over problems.
        valid_rate: share of answers of the right form.
        n: problems.
        unscorable: answers that could not be judged.
        mean_tokens: length of the answers.
    """

    accuracy: float
    ci95: tuple[float, float]
    valid_rate: float
    n: int
    unscorable: int
    mean_tokens: float


def answer_all(
    examples: Sequence[Example], verify: Verify, engine: Engine, text: Text, sampling: Sampling, samples: int, seed: int
) -> list[list[Answer]]:
    """Let the policy answer every problem from scratch: the prompt and nothing else, never a hint.

    Returns:
        Per problem, ``samples`` judged answers.
    """
    prompts = [text.encode(e.prompt) for e in examples]
    generator = Progress(0, 0, seed, ("evaluation",)).generator("sampling")
    with Beside() as beside:
        finished = engine.as_finished(prompts, sampling, samples, generator)
        written = ((at, [(text.decode(c.tokens), len(c.tokens)) for c in row]) for at, row in finished)
        begun = ((at, beside.begin(_judge, examples[at], responses, verify)) for at, responses in written)
        return [answers.result() for answers in in_order(begun, len(examples))]


def _judge(example: Example, responses: Sequence[tuple[str, int]], verify: Verify) -> list[Answer]:
    """Of each response and its length in tokens."""
    answers = []
    for response, tokens in responses:
        verdict = verify(response, example)
        answers.append(Answer(example.id, response, verdict.score, verdict.reason, verdict.valid, tokens))
    return answers


def summarise(answers: Sequence[Answer]) -> Accuracy:
    """The accuracy of one answer per problem."""
    n, correct = len(answers), sum(a.correct for a in answers)
    return Accuracy(
        accuracy=correct / n,
        ci95=wilson(correct, n),
        valid_rate=sum(a.valid for a in answers) / n,
        n=n,
        unscorable=sum(a.score is None for a in answers),
        mean_tokens=sum(a.tokens for a in answers) / n,
    )


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval (1927) of a binomial share; exact at the ends where the normal one is not."""
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def pass_at_k(answers: Sequence[Sequence[Answer]], k: int) -> float:
    """The unbiased estimate of pass@k, ``1 - C(n - c, k) / C(n, k)`` averaged over problems (2107.03374, eq. 1).

    Args:
        answers: per problem, n >= k sampled answers.
        k: tries.
    """
    total = 0.0
    for row in answers:
        n, c = len(row), sum(a.correct for a in row)
        if n < k:
            raise ValueError(f"pass@{k} needs at least {k} samples per problem, got {n}")
        total += 1.0 - math.comb(n - c, k) / math.comb(n, k)
    return total / len(answers)


def paired_difference(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], seed: int = 0, resamples: int = 10_000
) -> tuple[float, tuple[float, float]]:
    """Difference of a mean over the same problems, such as an accuracy, bootstrapped over seeds and problems.

    Args:
        first: [seeds][problems], correct or not, or any other number per problem.
        second: the same; problems in the same order, seeds paired by index.
        seed: of the bootstrap.
        resamples: bootstrap samples.

    Returns:
        mean(first) - mean(second), and its 95% percentile interval.
    """
    difference = torch.tensor(first, dtype=torch.float64) - torch.tensor(second, dtype=torch.float64)
    ends = interval(lambda count, generator: resampled_means(difference, count, generator), seed, resamples)
    return float(difference.mean()), ends
