"""Drawing the next token: inversion of the cumulative distribution, in two levels.

A vocabulary is added up block by block, and only the block that a draw falls into is gone through token by token: the
exponentials are read twice instead of being written, accumulated and searched one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posttrain.token_logprobs import exp_

BLOCK = 64
"""Tokens of a block. Between 32 and 128 it makes no difference; the two levels are equally long at 4,096 tokens."""


def sample(logits: Tensor, temperature: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Draw by inverting the cumulative distribution.

    Args:
        logits: Float["r v"].
        temperature: 0 takes the most likely token.
        uniforms: Float["r"] in [0, 1).

    Returns:
        Int["r"] tokens and Float["r"] their log-probabilities at this temperature (greedy: at temperature 1). A token
        of probability 0 is never drawn.
    """
    tempered = logits if temperature in (0, 1) else logits / temperature
    greatest = tempered.amax(-1, keepdim=True)
    masses = exp_(tempered - greatest)
    if temperature == 0:
        token, total = tempered.argmax(-1, keepdim=True), masses.sum(-1, keepdim=True)
    else:
        token, total = _drawn(masses, uniforms.to(masses.dtype)[:, None])
    return token[:, 0], (tempered.gather(1, token) - greatest - total.log())[:, 0]


def _drawn(masses: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Float["r v"] probabilities up to a factor, Float["r 1"] draws -> Int["r 1"] tokens, Float["r 1"] totals."""
    missing = -masses.shape[1] % BLOCK
    padded = nn.functional.pad(masses, (0, missing)) if missing else masses
    blocks = padded.view(len(masses), -1, BLOCK)
    ends = blocks.sum(-1).cumsum(-1)
    block = _first_beyond(ends, uniforms * ends[:, -1:], ends[:, -1:])
    begin = nn.functional.pad(ends, (1, 0)).gather(1, block)
    # How far into the block the draw falls, as a share: a block's sum and its running sum may differ in the last digit.
    share = (uniforms * ends[:, -1:] - begin).clamp(min=0) / (ends.gather(1, block) - begin)
    inside = blocks.gather(1, block[:, :, None].expand(-1, -1, BLOCK))[:, 0].cumsum(-1)
    place = _first_beyond(inside, share * inside[:, -1:], inside[:, -1:])
    # Where masses are no numbers no place is right; the log-probability of any token is none either.
    return (block * BLOCK + place).clamp(max=masses.shape[1] - 1), ends[:, -1:]


def _first_beyond(cumulative: Tensor, draws: Tensor, totals: Tensor) -> Tensor:
    """Int["r 1"]: the first place whose cumulative mass is greater than the draw. It has a mass of its own."""
    below = torch.nextafter(totals, torch.zeros_like(totals))  # a draw may have been rounded up to the total
    place = torch.searchsorted(cumulative, torch.minimum(draws, below), right=True)
    return place.clamp(max=cumulative.shape[1] - 1)
