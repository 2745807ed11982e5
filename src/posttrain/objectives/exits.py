"""Any objective at several depths of the model: intermediate layers learn to answer as well."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Objective
from posttrain.signals import LAYERS
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class EveryFew:
    """Every few layers down from the last one, as far as a share of the depth.

    Args:
        every: layers between two exits (Sorted LLaMA: 4).
        start: no exit before this share of the layers (Sorted LLaMA: 0.3, so 12, 16 … 40 of 40 layers).
    """

    every: int = 4
    start: float = 0.3

    def __post_init__(self) -> None:
        """Refuse steps that lead nowhere."""
        if self.every < 1 or not 0 <= self.start <= 1:
            raise ValueError(f"exits need every >= 1 and a start between 0 and 1, got {self}")

    def __call__(self, layers: int) -> tuple[int, ...]:
        """The depths, shallowest first."""
        return tuple(n for n in range(layers, 0, -self.every) if n / layers >= self.start)[::-1]


@dataclass(frozen=True)
class AtDepths:
    """These numbers of layers.

    Args:
        depths: different numbers from 1 to the model's number of layers.
    """

    depths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse none, equal ones and what no model has."""
        if not self.depths or len(set(self.depths)) != len(self.depths) or min(self.depths) < 1:
            raise ValueError(f"exits are different depths of at least 1, got {self.depths}")

    def __call__(self, layers: int) -> tuple[int, ...]:
        """The depths, shallowest first.

        Raises:
            UserError: the model has fewer layers.
        """
        if max(self.depths) > layers:
            raise UserError(
                f"the model has {layers} layers; it has no exit after {max(self.depths)}, choose 1 to {layers}"
            )
        return tuple(sorted(self.depths))


@dataclass(frozen=True)
class AtFractions:
    """These shares of the model's layers, rounded to whole ones.

    Args:
        fractions: each above 0 and at most 1.
    """

    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse none, and what is no share."""
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ValueError(f"exits are fractions above 0 and at most 1, got {self.fractions}")

    def __call__(self, layers: int) -> tuple[int, ...]:
        """The depths, shallowest first; fractions that round to the same depth make one exit."""
        return tuple(sorted({max(1, round(fraction * layers)) for fraction in self.fractions}))


@dataclass(frozen=True)
class AverageOverExits:
    """The mean of an objective over the model's exits (2309.08968, Section 3).

    At each exit the model's own norm and head read the states of that layer, in the one pass that all exits share. Only
    what the objective reads of the policy changes with the exit: signals of the batch are those of the whole model.

    Args:
        objective: what is averaged.
        exits: the depths.
    """

    objective: Objective = CrossEntropy()
    exits: EveryFew | AtDepths | AtFractions = EveryFew()

    def __post_init__(self) -> None:
        """Refuse an objective that speaks about all layers at once."""
        if LAYERS in self.objective.needs:
            raise ValueError(f"{type(self.objective).__name__} reads all layers at once; give it a term of its own")

    @property
    def needs(self) -> frozenset[str]:
        """What the objective needs, and every layer."""
        return self.objective.needs | {LAYERS}

    def inert(self, sequence: TrainingSequence) -> bool:
        """Where the objective is."""
        return self.objective.inert(sequence)

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"].

        Raises:
            UserError: the model lacks one of the exits.
        """
        depths = self.exits(len(forward.layers) - 1)
        # Not a sum that starts from 0: a single exit gives the objective's own numbers.
        first, *others = (self.objective(forward.at_exit(depth), batch) for depth in depths)
        return sum(others, first) / len(depths)
