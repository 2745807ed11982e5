"""Keys and values of prompts once per group, those of completions per row, in buffers that nothing moves in.

A row's softmax runs over both; the products with the prompt are one matrix product for all rows of the group, where
rows with keys of their own would need a small one each. The products with a row's own keys take the whole buffer, room
for tokens to come included: small products of a part of it are several times slower than of contiguous memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import CacheLayerMixin

from posttrain.engines.cursors import Cursor


class SharedLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one layer, for ``p`` prompts with ``n`` rows each.

    Args:
        keys, values: Float["p h l d"] of the prompts, padded on the left.
        padding: Bool["p l"], where no prompt is; ``None`` if all are equally long.
        rows_per_prompt: every prompt is continued by as many rows, prompt-major.
        new_tokens: that are written to a row, at most.
        cursor: where they are written, the same for all layers.
    """

    is_compileable = False
    is_sliding = False

    def __init__(
        self,
        keys: Tensor,
        values: Tensor,
        padding: Tensor | None,
        rows_per_prompt: int,
        new_tokens: int,
        cursor: Cursor,
    ) -> None:
        super().__init__()
        self._prompts = (keys, values)
        self._padding = padding
        self._rows = rows_per_prompt
        self._new_tokens = new_tokens
        self._cursor = cursor
        size = (len(keys) * rows_per_prompt, keys.shape[1], min(cursor.room(), new_tokens), keys.shape[3])
        # Zeros, as what is not written yet is multiplied too, if only by 0.
        self._written = (keys.new_zeros(size), keys.new_zeros(size))
        self.reads = 0
        """How often :meth:`attend` was called since that was last looked at."""
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the buffers exist."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write the newest token of every row, Float["r h 1 d"]; returned are the buffers, Float["r h m d"]."""
        for buffer, states in zip(own := self._own(), (key_states, value_states)):
            self._cursor.write(buffer, states)
        return own

    @property
    def is_full(self) -> bool:
        """Whether the buffers must grow for another token."""
        return self._cursor.length == self._written[0].shape[2]

    def grow(self) -> None:
        """Make room for more tokens."""
        more = min(self._cursor.room(), self._new_tokens - self._cursor.length)
        keys, values = (nn.functional.pad(buffer, (0, 0, 0, more)) for buffer in self._own())
        self._written = (keys, values)

    def attend(self, query: Tensor, scale: float) -> Tensor:
        """What every row's newest token reads: its prompt, and what the row has written.

        Args:
            query: Float["r hq 1 d"], with hq a multiple of h.
            scale: of the products.

        Returns:
            Float["r hq 1 d"].
        """
        (prompt_keys, prompt_values), (keys, values) = self._prompts, self._own()
        heads, width, rows = prompt_keys.shape[1], prompt_keys.shape[3], len(query)
        self.reads += 1
        scaled = (query * scale).reshape(rows, heads, -1, width)
        to_prompt = self._by_prompt(scaled) @ prompt_keys.transpose(2, 3)
        if self._padding is not None:
            to_prompt = to_prompt.masked_fill(self._padding[:, None, None], -torch.inf)
        to_own = self._by_prompt(scaled @ keys.transpose(2, 3))
        products = torch.cat([to_prompt, to_own], -1)
        self._cursor.hide_unwritten(products[..., prompt_keys.shape[2] :])
        wide = torch.promote_types(products.dtype, torch.float32)
        weights = torch.softmax(products, -1, dtype=wide).to(query.dtype)
        of_prompt, of_own = weights.tensor_split((prompt_keys.shape[2],), -1)
        read = self._by_row(of_prompt @ prompt_values) + self._by_row(of_own) @ values
        return read.reshape(query.shape)

    def keep(self, prompts: Tensor, rows: Tensor) -> None:
        """Go on with these prompts, Int["p"], and their rows, Int["p n"], both ascending; all may be fewer."""
        self._prompts = (self._prompts[0][prompts], self._prompts[1][prompts])
        self._padding = None if self._padding is None else self._padding[prompts]
        self._rows = rows.shape[1]
        length = self._cursor.length
        for buffer in self._written:
            buffer[: rows.numel(), :, :length] = buffer[rows.flatten(), :, :length]

    def _own(self) -> tuple[Tensor, Tensor]:
        """Float["r h m d"] twice: the rows' buffers, written as far as the cursor says."""
        rows = len(self._prompts[0]) * self._rows
        return self._written[0][:rows], self._written[1][:rows]

    def _by_prompt(self, of_rows: Tensor) -> Tensor:
        """Float["p*n h g x"] -> Float["p h n*g x"]: rows that share a prompt beside each other."""
        return of_rows.reshape(-1, self._rows, *of_rows.shape[1:]).transpose(1, 2).flatten(2, 3)

    def _by_row(self, of_prompts: Tensor) -> Tensor:
        """The way back."""
        prompts, heads, _, width = of_prompts.shape
        return of_prompts.reshape(prompts, heads, self._rows, -1, width).transpose(1, 2).flatten(0, 1)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that the next token will see."""
        return self._prompts[0].shape[2] + self._cursor.length + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens in every row, the prompt's included."""
        return self._prompts[0].shape[2] + self._cursor.length

    def get_max_length(self) -> int:
        """Tokens that every row has room for."""
        return self._prompts[0].shape[2] + self._new_tokens


class SharedPrompts:
    """The layers of a cache whose rows share their prompts.

    Args:
        cache: a DynamicCache that has read the prompts and nothing else; its layers are replaced.
        mask: Int["p l"], 0 at padding.
        rows_per_prompt: rows that continue each prompt.
        new_tokens: that are written to each row, at most.
        cursor: where they are written.

    ``layout`` is another number whenever tensors of the layers have become others.
    """

    def __init__(self, cache: Any, mask: Tensor, rows_per_prompt: int, new_tokens: int, cursor: Cursor) -> None:
        padding = None if bool(mask.all()) else mask == 0
        read = [(layer.keys, layer.values) for layer in cache.layers]
        self.layers = [SharedLayer(*known, padding, rows_per_prompt, new_tokens, cursor) for known in read]
        cache.layers = list(self.layers)
        self.layout = 0
        self._cursor = cursor

    def make_room(self) -> None:
        """See to it that another token can be written."""
        if self.layers[0].is_full:
            self.layout += 1
            for layer in self.layers:
                layer.grow()

    def keep(self, prompts: Tensor, rows: Tensor) -> None:
        """Go on with these prompts, Int["p"], and their rows, Int["p n"], both ascending; all may be fewer."""
        self.layout += 1
        for layer in self.layers:
            layer.keep(prompts, rows)

    def advance(self) -> None:
        """The newest token has been read and written by every layer."""
        self._cursor.advance()

    def check_all_read(self) -> None:
        """Refuse a model whose attention has not asked every layer once since the last check: it saw no prompt.

        Raises:
            RuntimeError: some layer was not asked.
        """
        if any(layer.reads != 1 for layer in self.layers):
            raise RuntimeError(
                "the model does not pass the shared prompts on to its attention, which would not see them"
            )
        for layer in self.layers:
            layer.reads = 0
