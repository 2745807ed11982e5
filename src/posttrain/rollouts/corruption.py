"""Corruption of a text that has to be restored: masks, and random tokens as their control."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from posttrain.text import Text
from posttrain.types import Progress

MaskRate = Callable[[Progress, Generator], float]
"""(progress, generator) -> with which probability a token is masked, 0 … 1."""


@dataclass(frozen=True)
class UniformRate:
    """A rate between ``low`` and ``high``, drawn anew in every step ("sample" in MFT's released code).

    Args:
        low, high: ends of the interval (0.05 and 0.95).
    """

    low: float = 0.05
    high: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not (0 <= self.low <= 1 and 0 <= self.high <= 1):
            raise ValueError(f"a mask rate lies between 0 and 1, got {self.low} and {self.high}")

    def __call__(self, now: Progress, generator: Generator) -> float:
        """A uniform draw."""
        return self.low + (self.high - self.low) * float(torch.rand(1, generator=generator))


@dataclass(frozen=True)
class FixedRate:
    """The same rate throughout ("fixed"): 0 leaves a plain copy, 1 shows nothing but the length.

    Args:
        rate: 0 … 1.
    """

    rate: float

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not 0 <= self.rate <= 1:
            raise ValueError(f"a mask rate lies between 0 and 1, got {self.rate}")

    def __call__(self, now: Progress, generator: Generator) -> float:
        """The rate."""
        return self.rate


@dataclass(frozen=True)
class LinearRate:
    """From ``start`` at the first step towards ``end`` ("schedule", which moves once per epoch; here in every step).

    Args:
        start, end: 0 … 1 (0.05 and 0.95).
    """

    start: float = 0.05
    end: float = 0.95

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1):
            raise ValueError(f"a mask rate lies between 0 and 1, got {self.start} and {self.end}")

    def __call__(self, now: Progress, generator: Generator) -> float:
        """The interpolated rate."""
        return self.start + (self.end - self.start) * now.step / max(1, now.total_steps)


@dataclass(frozen=True)
class Masked:
    """Every token becomes the mask token with the step's rate, independently of the others (MFT, 2510.09885).

    Args:
        rate: one number for all texts of a step (uniform between 0.05 and 0.95).
        mask: the text of the mask token. It has to be one token of the tokenizer, best one that never occurs in the
            texts, such as a reserved one (the authors': 128013 of Llama 3.1). The default is a sign that byte-level
            tokenizers have and that plain text hardly uses.
    """

    rate: UniformRate | FixedRate | LinearRate = UniformRate()
    mask: str = "^"

    def __call__(self, tokens: Tensor, text: Text, now: Progress, generator: Generator) -> Tensor:
        """Int["l"] -> Int["l"]; ``generator`` decides which tokens, the step alone with which rate.

        Raises:
            UserError: ``mask`` is not one token.
        """
        mask, rate = text.token(self.mask), self.rate(now, now.generator("mask rate"))
        return tokens.masked_fill(torch.rand(len(tokens), generator=generator) < rate, mask)


@dataclass(frozen=True)
class OneMasked:
    """One token, drawn anew in every step: for texts of a few tokens, of which a rate would mask all or nothing.

    The form of a study of MFT on facts of three tokens ("The Illusion of Latent Generalization: Bi-directionality and
    the Reversal Curse", 2026).

    Args:
        first: the first token that may be masked, counted from 0; with 1, what a text begins with is always shown.
        mask: the text of the mask token, as of :class:`Masked`.
    """

    first: int = 0
    mask: str = "^"

    def __post_init__(self) -> None:
        """Refuse what is no place."""
        if self.first < 0:
            raise ValueError(f"the first token that may be masked is counted from 0, got {self.first}")

    def __call__(self, tokens: Tensor, text: Text, now: Progress, generator: Generator) -> Tensor:
        """Int["l"] -> Int["l"]; a text that ends before ``first`` stays as it is.

        Raises:
            UserError: ``mask`` is not one token.
        """
        mask, choices = text.token(self.mask), len(tokens) - self.first
        if choices < 1:
            return tokens
        place = self.first + int(torch.randint(choices, (1,), generator=generator))
        return tokens.index_fill(0, torch.tensor([place]), mask)


@dataclass(frozen=True)
class Replaced:
    """Every token becomes a random one: the control for "any noise in the context helps" ("random-augmented")."""

    def __call__(self, tokens: Tensor, text: Text, now: Progress, generator: Generator) -> Tensor:
        """Int["l"] -> Int["l"], each of all tokens but end-of-sequence equally likely."""
        drawn = torch.randint(text.vocabulary_size - 1, tokens.shape, generator=generator)
        return drawn + (drawn >= text.end).long()
