"""An engine that counts what another one does, so that ways of decoding can be compared at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Generator, Tensor

from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.types import Completion, Sampling


@dataclass
class Written:
    """What an engine has done so far.

    Args:
        completions: how many it wrote.
        tokens_read: tokens of the prompts; a prompt is read once for all of its completions.
        tokens_written: tokens of the completions, end-of-sequence included.
    """

    completions: int = 0
    tokens_read: int = 0
    tokens_written: int = 0

    @property
    def tokens_passed(self) -> int:
        """Positions that went through the model: all but the last token of each completion."""
        return self.tokens_read + self.tokens_written - self.completions


class CountingEngine:
    """Another engine, with a count.

    Args:
        inner: does the work.
    """

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.written = Written()

    @property
    def version(self) -> int:
        """That of the inner engine."""
        return self._inner.version

    def load(self, policy: Policy, version: int) -> None:
        """Load the inner engine; the count goes on."""
        self._inner.load(policy, version)

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """What the inner engine writes."""
        made = self._inner.generate(prompts, sampling, completions_per_prompt, generator)
        self.written.completions += sum(map(len, made))
        self.written.tokens_read += sum(map(len, prompts))
        self.written.tokens_written += sum(len(c.tokens) for completions in made for c in completions)
        return made
