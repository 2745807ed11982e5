"""Groups made of several sources: what methods that compare a demonstration with samples start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from posttrain.arrivals import placed
from posttrain.protocols import Engine, Source
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Group, Progress, Rollout


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
    ) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
        """One joined group per example, members in the order of the sources; it is there with the last of its parts."""
        written = [
            (index, source(examples, engine, text, sampling, now.within(f"source {index}")))
            for index, source in enumerate(self.sources)
        ]
        parts: list[dict[int, Group]] = [{} for _ in examples]
        # What exists comes before what has yet to be written.
        for index, groups in sorted(written, key=lambda pair: not isinstance(pair[1], Sequence)):
            for place, group in placed(groups):
                parts[place][index] = group
                if len(parts[place]) == len(self.sources):
                    yield place, tuple(r for _, part in sorted(parts[place].items()) for r in part)
