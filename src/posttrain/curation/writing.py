"""Answers that the policy writes for its own training, before anything moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from posttrain.curation.templates import filled
from posttrain.recipe import Workspace
from posttrain.sampling import Sampling
from posttrain.types import Example, Progress


@dataclass(frozen=True)
class Greedy:
    """The most likely token at every step, and so one answer."""

    temperature: ClassVar[float] = 0.0
    attempts: ClassVar[int] = 1


@dataclass(frozen=True)
class Sampled:
    """Several answers, of which the first right one counts.

    Args:
        attempts: how many, at least 1.
        temperature: above 0.
    """

    attempts: int = 4
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what writes nothing, or the same again and again."""
        if self.attempts < 1 or self.temperature <= 0:
            raise ValueError(f"sampling needs at least 1 attempt and a temperature above 0, got {self}")


@dataclass(frozen=True)
class OwnAnswer:
    """The policy answers the prompt, and nothing else is shown to it.

    Args:
        decoding: greedy, or several samples.
        max_new_tokens: longest answer in tokens, end-of-sequence included.
    """

    decoding: Greedy | Sampled = Greedy()
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        """Refuse to write nothing."""
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def prompt(self, example: Example) -> str:
        """The example's."""
        return example.prompt


@dataclass(frozen=True)
class Paraphrase:
    r"""The policy says the gold answer again: it sees the prompt and the gold, and goes on.

    The wording is our reading. The default shows the solved problem and asks it once more, which base models continue
    and any tokenizer of the task can write; for models that follow instructions something like
    ``"{prompt}\n{gold}\n\nSay this answer in your own words:\n"`` is nearer to the paper.

    Args:
        template: with ``{prompt}`` and ``{gold}``.
        decoding: greedy, or several samples.
        max_new_tokens: longest answer in tokens, end-of-sequence included.
    """

    template: str = "{prompt}{gold}\n\n{prompt}"
    decoding: Greedy | Sampled = Greedy()
    max_new_tokens: int = 1024

    def __post_init__(self) -> None:
        """Refuse a template that hides the question or the answer, and to write nothing."""
        if "{prompt}" not in self.template or "{gold}" not in self.template:
            raise ValueError(f"template must show {{prompt}} and {{gold}}, got {self.template!r}")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")

    def prompt(self, example: Example) -> str:
        """The filled template; the gold answer is the first demonstration."""
        return filled(self.template, {"prompt": example.prompt, "gold": example.demonstrations[0].text})


Way = OwnAnswer | Paraphrase
"""How the policy is brought to write an answer."""


@dataclass(frozen=True)
class Written:
    """What the policy wrote.

    Args:
        answers: per example, the texts of its finished attempts, without end-of-sequence.
        unfinished: attempts that were cut off before they ended, or had no room to begin.
        tokens_sampled: of all attempts.
    """

    answers: list[list[str]]
    unfinished: int
    tokens_sampled: int


def written(way: Way, examples: Sequence[Example], workspace: Workspace, now: Progress) -> Written:
    """Let the policy write in one way; the engine has its weights loaded.

    An attempt is finished when the policy itself ended it. What was cut off, or is blank, is no answer.
    """
    policy, attempts = workspace.policy, way.decoding.attempts
    prompts = [policy.text.encode(way.prompt(example)) for example in examples]
    room = [k for k, prompt in enumerate(prompts) if len(prompt) < policy.context]
    sampling = Sampling(way.decoding.temperature, way.max_new_tokens)
    numbers = now.generator("sampling")
    found = workspace.engine.generate([prompts[k] for k in room], sampling, attempts, numbers) if room else []
    answers: list[list[str]] = [[] for _ in examples]
    for k, completions in zip(room, found):
        texts = [policy.text.decode(c.tokens[:-1]) for c in completions if c.stopped]
        answers[k] = [text for text in texts if text.strip()]
    stopped = sum(c.stopped for completions in found for c in completions)
    tokens = sum(len(c.tokens) for completions in found for c in completions)
    return Written(answers, attempts * len(examples) - stopped, tokens)
