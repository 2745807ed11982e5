"""Numbers per problem that a model can be measured by: what its answers are like, how likely it finds documents."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer
from posttrain.evaluation.ngrams import ExpectationAdjusted
from posttrain.evaluation.similarity import EntailmentDiversity, NgramCosineDiversity, overlap
from posttrain.policy import Policy
from posttrain.pretraining.corpora import compact
from posttrain.runs.answering import answer_in_batches
from posttrain.runs.problems import task_named
from posttrain.sampling import Sampling
from posttrain.settings.presets import preset
from posttrain.tasks.answers import right, wrong
from posttrain.types import Example, Split, Verdict

LONGEST_ANSWER = 64
SEED = 20_250_516
COUNTDOWN = {"name": "countdown", "form": "compact_form", "largest_number": 12, "largest_value": 48}
"""As the embedded model has read it."""
Reading = Callable[[Sequence[Answer]], float]
"""The answers to one problem -> a number."""


class Problems(Protocol):
    """A set of problems and their verifier."""

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct problems."""
        ...

    def verify(self, response: str, example: Example) -> Verdict:
        """Judge an answer."""
        ...


@dataclass(frozen=True)
class Answered:
    """What a model answers, problem by problem.

    Args:
        problems: a task.
        reading: the answers to one problem -> a number.
        count: of held-out problems.
        samples: answers to each; a single one is greedy, several are sampled at temperature 1.
    """

    problems: Problems
    reading: Reading
    count: int = 290
    samples: int = 1

    def __call__(self, policy: Policy) -> list[float]:
        """A number per problem."""
        return [self.reading(row) for row in answers(policy, self.problems, self.count, self.samples)]


@functools.lru_cache(maxsize=2)
def answers(
    policy: Policy, problems: Problems, count: int, samples: int, split: Split = "heldout"
) -> list[list[Answer]]:
    """Per problem its answers; those that were written last are remembered, for readings that share them."""
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    examples = problems.examples(split, count, 0)
    sampling = Sampling(0.0 if samples == 1 else 1.0, LONGEST_ANSWER)
    return answer_in_batches(examples, problems.verify, engine, policy.text, sampling, samples, SEED, lambda done: None)


def correct(answers: Sequence[Answer]) -> float:
    """The share of right ones, in percent."""
    return 100 * sum(answer.correct for answer in answers) / len(answers)


def well_formed(answers: Sequence[Answer]) -> float:
    """The share of those of the right form, in percent."""
    return 100 * sum(answer.valid for answer in answers) / len(answers)


def tokens(answers: Sequence[Answer]) -> float:
    """Their mean length."""
    return sum(answer.tokens for answer in answers) / len(answers)


def distinct_right(answers: Sequence[Answer]) -> float:
    """How many different right ones there are."""
    return float(len({answer.response for answer in answers if answer.correct}))


def _symbols(response: str) -> list[str]:
    return list(response)


def _expectation_adjusted(answers: Sequence[Answer]) -> float:
    return _EAD([answer.response for answer in answers])


def _bag_of_symbols(answers: Sequence[Answer]) -> float:
    return _COSINE([answer.response for answer in answers])


def _entailment(answers: Sequence[Answer]) -> float:
    return _ENTAILMENT([answer.response for answer in answers])


_EAD = ExpectationAdjusted(len(compact.LETTERS + compact.MARKS) + 100, words=_symbols)
_COSINE = NgramCosineDiversity((1,), _symbols)
_ENTAILMENT = EntailmentDiversity(overlap)
DIVERSITIES: Mapping[str, Reading] = {
    "EAD": _expectation_adjusted,
    "1 − cosine of symbols": _bag_of_symbols,
    "entailment by overlap": _entailment,
}
"""Of the samples of one problem; the last two without a model, so that they see words and not meaning."""


def default_task(**changed: Any) -> Problems:
    """The task of the preset ``tiny``, with other settings."""
    return task_named({**dict(preset("tiny").task or {}), **changed})


def countdown(*counts: int) -> Problems:
    """Countdown with so many numbers, in the form that the embedded model has read."""
    return task_named({**COUNTDOWN, "counts": list(counts)})


@dataclass(frozen=True)
class PlainSums:
    """Sums, differences, products and quotients as the embedded model has read them: what every step builds on."""

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """Distinct ones, whatever the split: a base that knows them has read most of them."""
        numbers, found = random.Random(f"sums/{seed}"), dict[str, str]()
        while len(found) < count:
            question, _, answer = compact.arithmetic(numbers).partition("=")
            found[f"{question}="] = answer.strip()
        return tuple(Example(f"sum/{question}", question, answer) for question, answer in found.items())

    def verify(self, response: str, example: Example) -> Verdict:
        """The number alone, up to the end of the line."""
        return right() if response.partition("\n")[0] == example.answer else wrong("another number")


@dataclass(frozen=True)
class Surprise:
    """Nats per token of fresh documents of the embedded model's corpus, document by document.

    Args:
        kinds: of documents, by their names in the corpus.
        count: of documents of each kind.
    """

    kinds: tuple[str, ...]
    count: int = 200
    _writers: Mapping[str, Callable[[random.Random], str]] = field(
        default_factory=lambda: {
            "key path": compact.key_path,
            "countdown": compact.countdown_game,
            "arithmetic": compact.arithmetic,
            "chain sum": compact.chain_sum,
        },
        repr=False,
    )

    @torch.no_grad()
    def __call__(self, policy: Policy) -> list[float]:
        """A number per document."""
        return [
            self._nats(policy, self._writers[kind](random.Random(f"{kind}/{number}")))
            for kind in self.kinds
            for number in range(self.count)
        ]

    def _nats(self, policy: Policy, document: str) -> float:
        read = policy.text.encode(document).to(policy.device)
        logits = policy.model(input_ids=read[None, :-1]).logits[0].float()
        return float(torch.nn.functional.cross_entropy(logits, read[1:]))
