"""Problems asked at several levels, each with a phrase behind the prompt and a price on length of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from posttrain.errors import UserError
from posttrain.rewards.length import LEVEL
from posttrain.types import Example


@dataclass(frozen=True)
class ThreeLevels:
    """Every problem three times.

    Args:
        short_phrase: asks for a short answer.
        moderate_phrase: asks for a moderate one.
        long_phrase: asks for a long one.
        short: price of the longest answer where a short one was asked for (0.5), in units of the score.
        moderate: where a moderate one was (0.2).
        long: where a long one was (0.05).
    """

    short_phrase: str = " Answer briefly."
    moderate_phrase: str = " Answer at moderate length."
    long_phrase: str = " Answer at length."
    short: float = 0.5
    moderate: float = 0.2
    long: float = 0.05

    def __post_init__(self) -> None:
        """Refuse phrases that cannot be told apart."""
        if len(set(self.phrases().values())) < len(self.phrases()):
            raise ValueError("two levels have the same phrase, so that nothing tells them apart; use one_level")

    def phrases(self) -> Mapping[str, str]:
        """Name of the level -> phrase."""
        return {"short": self.short_phrase, "moderate": self.moderate_phrase, "long": self.long_phrase}

    def strengths(self) -> Mapping[str, float]:
        """Name of the level -> price."""
        return {"short": self.short, "moderate": self.moderate, "long": self.long}


@dataclass(frozen=True)
class OneLevel:
    """Every problem as it is, and one price.

    Args:
        strength: price of the longest answer (0.2), in units of the score.
    """

    strength: float = 0.2

    def phrases(self) -> Mapping[str, str]:
        """One level, without a phrase."""
        return {"every": ""}

    def strengths(self) -> Mapping[str, float]:
        """Its price."""
        return {"every": self.strength}


def at_level(example: Example, name: str, phrase: str, closing: str = "") -> Example:
    """The example as it is asked at a level.

    Args:
        example: the problem.
        name: of the level, remembered among its facts.
        phrase: put at the end of its prompt, before ``closing``; without one the example keeps its id.
        closing: what the prompt ends with.

    Raises:
        UserError: the prompt does not end with ``closing``.
    """
    if not example.prompt.endswith(closing):
        raise UserError(f"the prompt of example {example.id!r} does not end with closing={closing!r}; give its end")
    prompt = f"{example.prompt.removesuffix(closing)}{phrase}{closing}"
    own = f"{example.id}/{name}" if phrase else example.id
    return dataclasses.replace(example, id=own, prompt=prompt, facts={**example.facts, LEVEL: name})
