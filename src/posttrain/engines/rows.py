"""The rows of a batch that is being written, and which of them leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from posttrain.engines.buffers import keep_rows
from posttrain.engines.shared_prompts import SharedPrompts

TOGETHER = 5 / 4
"""Rows of a prompt stay together if that makes the batch at most so many times larger than the rows that go on."""


@dataclass
class Rows:
    """What is being written: ``p`` prompts with ``n`` rows each, prompt-major; all tensors have r = p*n rows."""

    cache: Any
    shared: SharedPrompts | None
    rows_per_prompt: int
    index: Tensor  # Int["r"]: which completion of the batch
    mask: Tensor  # Int["r t"]: 0 at padding, as long as the text may become
    length: int  # of what the cache holds, padding included
    position: Tensor  # Int["r"]: position of the next token
    uniforms: Tensor  # Float["r m"]
    alive: Tensor  # Bool["r"]: whether the row goes on

    def advance(self, context: int) -> Tensor:
        """Go on by a token: Int["r"], the positions at which the newest stand."""
        position = self.position
        self.length += 1
        # What has ended at the end of the context writes on, unread.
        self.position = (position + 1).clamp(max=context - 1)
        return position

    def leave(self, alive: Tensor, leaving: float) -> Tensor | None:
        """Let rows that have ended go, if that makes the batch enough smaller.

        Args:
            alive: a copy of ``self.alive`` on the CPU, so that no device is waited for.
            leaving: rows go if no more than this share stays: for them to leave, the others must move.

        Returns:
            Int["r"] the rows that stay, on the CPU; ``None`` if all do.
        """
        if int(alive.sum()) > leaving * len(alive):
            return None
        prompts, rows = staying(alive.view(-1, self.rows_per_prompt))
        if rows.numel() > leaving * len(alive):
            return None
        device = self.alive.device
        rows_there = rows.to(device)
        chosen = rows_there.flatten()
        if self.shared is not None:
            self.shared.keep(prompts.to(device), rows_there)
        else:
            for layer in self.cache.layers:
                keep_rows(layer, chosen)
        self.rows_per_prompt = rows.shape[1]
        self.index, self.mask, self.position = self.index[chosen], self.mask[chosen], self.position[chosen]
        self.uniforms, self.alive = self.uniforms[chosen], self.alive[chosen]
        return rows.flatten()


def staying(alive: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest batch that holds all rows which go on and keeps those of a prompt together, if that is worth it.

    Args:
        alive: Bool["p n"].

    Returns:
        Int["q"] the prompts that stay, ascending, and Int["q m"] their rows. Some of these may have ended. Where too
        many would have, every row stands alone (m = 1), and its prompt is named as often as it has rows.
    """
    prompts, most = alive.any(1).nonzero()[:, 0], int(alive.sum(1).max())
    if len(prompts) * most > TOGETHER * int(alive.sum()):
        rows = alive.flatten().nonzero()
        return rows[:, 0] // alive.shape[1], rows
    # A stable sort puts those that go on first and leaves both kinds in their order.
    first = alive[prompts].int().argsort(dim=1, descending=True, stable=True)[:, :most].sort(1).values
    return prompts, prompts[:, None] * alive.shape[1] + first
