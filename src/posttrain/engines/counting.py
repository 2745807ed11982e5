"""An engine that counts what another one does, so that ways of decoding can be compared at equal cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor

from posttrain.arrivals import in_order
from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.sampling import Completion, Sampling


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
        return in_order(self.as_finished(prompts, sampling, completions_per_prompt, generator), len(prompts))

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same, as the inner engine hands it over; it is counted then."""
        for place, made in self._inner.as_finished(prompts, sampling, completions_per_prompt, generator):
            self.written.completions += len(made)
            self.written.tokens_read += len(prompts[place])
            self.written.tokens_written += sum(len(completion.tokens) for completion in made)
            yield place, made
