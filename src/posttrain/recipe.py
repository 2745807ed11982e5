"""Ordered stages, and what may stand between them: curation, snapshots, arithmetic on weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.stage import Stage
from posttrain.types import Example


@dataclass(frozen=True, eq=False)
class Workspace:
    """What the parts of a recipe hand on to each other.

    Args:
        policy: the live policy; a part may change its weights in place.
        engine: writes with the weights that it has loaded last.
        seed: the run's.
        remembered: frozen policies that an interlude kept, by name.
        examples: data sets that an interlude made, by name.
        notes: what interludes counted, by their names; a run writes it down.
    """

    policy: Policy
    engine: Engine
    seed: int
    remembered: Mapping[str, Policy] = field(default_factory=dict)
    examples: Mapping[str, tuple[Example, ...]] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def keeping(self, name: str, policy: Policy) -> Workspace:
        """The workspace with one more remembered policy, or another one under the same name."""
        return replace(self, remembered={**self.remembered, name: policy})

    def with_examples(self, name: str, examples: tuple[Example, ...]) -> Workspace:
        """The workspace with one more data set."""
        return replace(self, examples={**self.examples, name: examples})

    def noting(self, name: str, counted: Mapping[str, float]) -> Workspace:
        """The workspace with what the interlude ``name`` counted; an unknown number is ``nan``."""
        return replace(self, notes={**self.notes, name: dict(counted)})

    def recalled(self, name: str) -> Policy:
        """The policy kept under a name.

        Raises:
            UserError: nothing was kept under it.
        """
        if name not in self.remembered:
            raise UserError(f"no part of the recipe kept the policy {name!r}; put Keep({name!r}) before it is used")
        return self.remembered[name]


class Interlude(Protocol):
    """Something between two stages that takes no optimiser step; it is done again when a run resumes right after it."""

    @property
    def name(self) -> str:
        """Names it in the journal."""
        ...

    def run(self, workspace: Workspace) -> Workspace:
        """Do it; the same for the same workspace."""
        ...


@dataclass(frozen=True, eq=False)
class Later:
    """A stage that can be composed only when the parts before it are done, such as one over curated examples.

    Args:
        name: the stage's.
        steps: its length, known from the start.
        build: makes the stage; it must have this name and length.
    """

    name: str
    steps: int
    build: Callable[[Workspace], Stage]


@dataclass(frozen=True, eq=False)
class Recipe:
    """Ordered stages; each begins with the weights that the one before it ended with.

    Args:
        stages: stages, and interludes between them.
    """

    stages: tuple[Stage | Later | Interlude, ...]

    def __post_init__(self) -> None:
        """Refuse an empty recipe and equal names, which would mix up checkpoints."""
        names = [s.name for s in self.stages]
        if not names or len(set(names)) != len(names):
            raise UserError(f"a recipe needs stages with different names, got {names}")
        if not isinstance(self.stages[-1], Stage | Later) and self.total_steps == 0:
            raise UserError("a recipe needs at least one stage that trains")

    @property
    def total_steps(self) -> int:
        """Steps of all stages together."""
        return self.steps_before(len(self.stages))

    def steps_before(self, index: int) -> int:
        """Steps of the stages before the part with this index."""
        return sum(part.steps for part in self.stages[:index] if isinstance(part, Stage | Later))


def composed(part: Stage | Later, workspace: Workspace) -> Stage:
    """The stage itself.

    Raises:
        ValueError: a later stage is not what its recipe announced.
    """
    if isinstance(part, Stage):
        return part
    stage = part.build(workspace)
    if (stage.name, stage.steps) != (part.name, part.steps):
        raise ValueError(f"{part.name!r} of {part.steps} steps became {stage.name!r} of {stage.steps} steps")
    return stage
