"""Groups made of several sources: what methods that compare a demonstration with samples start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.protocols import Engine, Source
from posttrain.text import Text
from posttrain.types import Example, Progress, Rollout, Sampling


@dataclass(frozen=True)
class Mixed:
    """The groups of several sources for the same example, joined into one group."""

    sources: tuple[Source, ...]

    @property
    def provides(self) -> frozenset[str]:
        """What every one of the sources provides: a signal that some rollouts lack is none."""
        return frozenset.intersection(*(source.provides for source in self.sources))

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """One joined group per example, members in the order of the sources."""
        groups = [
            source(examples, engine, text, sampling, now.within(f"source {index}"))
            for index, source in enumerate(self.sources)
        ]
        return [tuple(rollout for group in parts for rollout in group) for parts in zip(*groups)]
