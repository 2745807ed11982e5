"""Keys and values in buffers that are as long as the text may become, so that a new token is written and nothing moves.

A cache that grows by concatenation copies all that it holds for every token.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, DynamicLayer


class BufferedLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer for rows that are all equally long.

    Args:
        keys, values: Float["p h l d"] of the prompts.
        rows_per_prompt: every prompt is repeated for as many rows, prompt-major.
        capacity: tokens a row may have, the prompt's included.
    """

    is_compileable = False
    is_sliding = False

    def __init__(self, keys: Tensor, values: Tensor, rows_per_prompt: int, capacity: int) -> None:
        super().__init__()
        self._buffers = tuple(_with_room(prompts, rows_per_prompt, capacity) for prompts in (keys, values))
        self._rows, self._length = self._buffers[0].shape[0], keys.shape[2]
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the buffers exist."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the next tokens of every row, Float["r h n d"], and return all that the rows hold, as views."""
        begin, end = self._length, self._length + key_states.shape[2]
        self._length = end
        keys, values = (buffer[: self._rows, :, :end] for buffer in self._buffers)
        keys[:, :, begin:] = key_states
        values[:, :, begin:] = value_states
        return keys, values

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, Int["r"] ascending, moved to the front of the buffers."""
        self._rows = len(rows)
        for buffer in self._buffers:
            buffer[: len(rows), :, : self._length] = buffer[rows, :, : self._length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that ``query_length`` more tokens will see."""
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens in every row."""
        return self._length

    def get_max_length(self) -> int:
        """Tokens that every row has room for."""
        return self._buffers[0].shape[2]


def _with_room(prompts: Tensor, rows_per_prompt: int, capacity: int) -> Tensor:
    rows, heads, length, width = prompts.shape
    buffer = prompts.new_empty(rows * rows_per_prompt, heads, capacity, width)
    buffer.view(rows, rows_per_prompt, heads, capacity, width)[:, :, :, :length] = prompts[:, None]
    return buffer


def make_room(cache: Any, rows_per_prompt: int, new_tokens: int) -> None:
    """Turn a cache of prompts into one of rows, with room for the tokens that will be written.

    Args:
        cache: a DynamicCache that has read the prompts and nothing else. Layers that do not hold every token, such as
            those with a sliding window, stay as they are and are repeated.
        rows_per_prompt: rows that continue each prompt.
        new_tokens: that are written to each row, at most.
    """
    for at, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            room = layer.keys.shape[2] + new_tokens
            cache.layers[at] = BufferedLayer(layer.keys, layer.values, rows_per_prompt, room)
        elif rows_per_prompt > 1:
            layer.batch_repeat_interleave(rows_per_prompt)


def keep_rows(layer: CacheLayerMixin, rows: Tensor) -> None:
    """Go on with these rows only, Int["r"] ascending."""
    if isinstance(layer, BufferedLayer):
        layer.keep(rows)
    else:
        layer.batch_select_indices(rows)
