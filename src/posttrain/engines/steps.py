"""Two ways through a step of decoding: kernel by kernel, or recorded once and played again.

On a GPU a step of a small model is some hundred kernels, each shorter than the program takes to ask for it. Recorded,
they are asked for at once. What is recorded reads and writes tensors that stay where they are: the token and its
position are copied there, keys and values live in buffers, and how many are written is known to the device alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from posttrain.engines.cursors import Cursor, DeviceCursor, ProgramCursor
from posttrain.engines.passes import read, read_sharing
from posttrain.engines.rows import Rows
from posttrain.policy import Policy
from posttrain.prefixes import reads_shared_prompts

Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Takes note of what a step does to tensors, and returns how to have it done again; the step may be done, or not."""


class Steps(Protocol):
    """The newest tokens through the model, Int["r"] -> Float["r v"] the logits of the next; the rows advance."""

    leaving: float
    """Rows that have ended leave the batch if no more than this share stays."""

    def cursor(self, new_tokens: int, device: torch.device) -> Cursor:
        """Where rows that share their prompts write."""
        ...

    def __call__(self, token: Tensor, rows: Rows) -> Tensor:
        """See the class."""
        ...


class Directly:
    """Kernel by kernel.

    Args:
        policy: reads.
    """

    leaving = 7 / 8
    """For rows to leave, the others must move."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def cursor(self, new_tokens: int, device: torch.device) -> Cursor:
        """The program's."""
        return ProgramCursor()

    def __call__(self, token: Tensor, rows: Rows) -> Tensor:
        """See :class:`Steps`."""
        position = rows.advance(self._policy.context)
        if rows.shared is None:
            mask = rows.mask[:, : rows.length]
            return read(self._policy, token[:, None], mask, position[:, None], rows.cache)
        rows.shared.make_room()
        logits = read_sharing(self._policy, token, position, rows.cache, rows.shared)
        rows.shared.advance()
        return logits


class Recorded:
    """The first step with tensors in new places is taken kernel by kernel, the second is recorded, others are played.

    The logits of a step are overwritten by the next.

    Args:
        policy: reads; its model :func:`can_be_recorded`.
        record: how steps are recorded.
    """

    leaving = 1 / 2
    """When rows leave, the next steps are recorded anew."""

    def __init__(self, policy: Policy, record: Recorder) -> None:
        self._policy, self._record = policy, record
        self._directly = Directly(policy)
        self._layout: int | None = None
        self._again: Callable[[], Tensor] | None = None

    def cursor(self, new_tokens: int, device: torch.device) -> Cursor:
        """The device's."""
        return DeviceCursor(new_tokens, device)

    def __call__(self, token: Tensor, rows: Rows) -> Tensor:
        """See :class:`Steps`."""
        assert rows.shared is not None
        rows.shared.make_room()
        if self._layout != rows.shared.layout:
            self._layout, self._again = rows.shared.layout, None
            return self._directly(token, rows)
        position = rows.advance(self._policy.context)
        if self._again is None:
            self._token, self._position = token.clone(), position.clone()
            self._again = self._recorded(rows)
        self._token.copy_(token)
        self._position.copy_(position)
        logits = self._again()
        rows.shared.advance()
        return logits

    def _recorded(self, rows: Rows) -> Callable[[], Tensor]:
        policy, shared, cache = self._policy, rows.shared, rows.cache
        assert shared is not None

        def step() -> Tensor:
            # Weights that autocast has cast and kept are gone when the recording is played.
            kind = policy.device.type
            dtype, enabled = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
            with torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False):
                return read_sharing(policy, self._token, self._position, cache, shared)

        return self._record(step)


def can_be_recorded(model: Any) -> bool:
    """Whether a step of the model does the same whatever the numbers are.

    Not where rows have no buffers that stay, nor where rotations depend on the longest position, which the program asks
    the device for.
    """
    rope = getattr(model.config, "rope_parameters", None) or {}
    kinds = {rope.get("rope_type"), *(of.get("rope_type") for of in rope.values() if isinstance(of, dict))}
    return reads_shared_prompts(model) and "dynamic" not in kinds


def cuda_graph(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Records for NVIDIA's GPUs, in memory of its own; the step is not done. See :data:`Recorder`."""
    graph = torch.cuda.CUDAGraph()
    # Rewards may use the device in other threads meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        logits = step()

    def again() -> Tensor:
        graph.replay()
        return logits

    return again
