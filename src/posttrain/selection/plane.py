"""The error-uncertainty plane: sequences by the perplexity of their answers and the entropy of the predictions."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor

Band = Literal["strict", "cross"]

WIDEST_EDGE = 0.49
"""The largest edge that is tried (2509.23873, Algorithm 1; its text has 0.5)."""
LARGEST_LOSS = 700.0
"""Nats of a token beyond which its perplexity would not fit into float64."""


class Quadrant(IntEnum):
    """Where a sequence lies."""

    MIDDLE = 0
    """Between the quadrants."""
    NOISE = 1
    """Q1: high perplexity, high entropy."""
    MISCONCEPTION = 2
    """Q2: high perplexity, low entropy."""
    REDUNDANT = 3
    """Q3: low perplexity, low entropy."""
    CALIBRATION = 4
    """Q4: low perplexity, high entropy."""


KEPT = (Quadrant.MISCONCEPTION, Quadrant.CALIBRATION)


def quadrants(perplexity: Tensor, entropy: Tensor, edge: float, band: Band = "strict") -> Tensor:
    """The quadrant of each sequence.

    Args:
        perplexity: Float["n"], of the answer.
        entropy: Float["n"], mean of the predictions.
        edge: what lies among the ``edge`` highest or lowest of the sequences is high or low, 0 <= edge < 0.5.
        band: ``"strict"`` leaves the middle between the two thresholds out; ``"cross"`` divides the plane at their
            midpoint, so that nothing is left over.

    Returns:
        Int["n"] of :class:`Quadrant`. Only ranks matter, and a larger edge never shrinks a quadrant. Where equal
        values belong to several quadrants, those that are trained on come first, and of these the calibration.
    """
    high_error, low_error = _sides(perplexity, edge, band)
    high_doubt, low_doubt = _sides(entropy, edge, band)
    found = torch.full((len(perplexity),), int(Quadrant.MIDDLE))
    found[high_error & high_doubt] = int(Quadrant.NOISE)
    found[low_error & low_doubt] = int(Quadrant.REDUNDANT)
    found[high_error & low_doubt] = int(Quadrant.MISCONCEPTION)
    found[low_error & high_doubt] = int(Quadrant.CALIBRATION)
    return found


def _sides(values: Tensor, edge: float, band: Band) -> tuple[Tensor, Tensor]:
    low, high = torch.quantile(values, edge), torch.quantile(values, 1 - edge)
    if band == "cross":
        low = high = (low + high) / 2
    return values >= high, values <= low


def kept(found: Tensor) -> Tensor:
    """Bool["n"]: misconceptions and calibration."""
    return (found == int(Quadrant.MISCONCEPTION)) | (found == int(Quadrant.CALIBRATION))


def bisected_edge(perplexity: Tensor, entropy: Tensor, share: float, rounds: int) -> float:
    """The edge at which about ``share`` of the sequences lie in the two quadrants that are trained on.

    Bisection of [0, 0.49]; the paper's two edges, of perplexity and of entropy, begin alike and move together. Where
    both quantities go together even the widest edge may hold fewer.
    """
    low, high, edge = 0.0, WIDEST_EDGE, 0.0
    for _ in range(rounds):
        edge = (low + high) / 2
        inside = float(kept(quadrants(perplexity, entropy, edge)).double().mean())
        low, high = (edge, high) if inside < share else (low, edge)
    return edge


def imbalance(perplexity: Tensor, entropy: Tensor) -> Tensor:
    """Float["n"]: perplexity minus entropy, each scaled to 0–1 over the sequences; near 0 on the diagonal."""
    return _scaled(perplexity) - _scaled(entropy)


def _scaled(values: Tensor) -> Tensor:
    width = values.max() - values.min()
    return (values - values.min()) / width if float(width) > 0 else torch.zeros_like(values)


def perplexities(losses: Tensor) -> Tensor:
    """Float["n"] nats per token -> perplexities in float64, all finite."""
    return losses.double().clamp(max=LARGEST_LOSS).exp()


def context_scores(losses: Tensor, neighbours: float) -> Tensor:
    """How far a token stands out: (1 - a) times its perplexity plus a times the sum of its neighbours'.

    Args:
        losses: Float["t"], nats of each token of an answer, in order.
        neighbours: a, between 0 and 1. A neighbour that is not there counts as the token itself (our reading).

    Returns:
        Float["t"] in float64.
    """
    own = perplexities(losses)
    before, after = torch.cat([own[:1], own[:-1]]), torch.cat([own[1:], own[-1:]])
    return (1 - neighbours) * own + neighbours * (before + after)
