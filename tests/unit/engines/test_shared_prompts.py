"""Prompts held once per group against keys that every row has for itself."""

import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

from posttrain.engines.cursors import ROOM, Cursor, DeviceCursor, ProgramCursor
from posttrain.engines.shared_prompts import SharedPrompts
from tolerances import ROUNDING

WIDTH = 4


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens_of_rows(rows: int, heads: int, seed: int) -> Tensor:
    """Float["r h 1 d"] with the strides that a model's projections have: Float["r 1 h*d"], seen by heads."""
    return drawn(rows, 1, heads * WIDTH, seed=seed).view(rows, 1, heads, WIDTH).transpose(1, 2)


@given(
    prompts=some.integers(1, 3),
    rows_per_prompt=some.integers(1, 3),
    heads=some.integers(1, 3),
    groups=some.integers(1, 3),
    lengths=some.lists(some.integers(1, 4), min_size=3, max_size=3),
    new=some.one_of(some.integers(1, 3), some.integers(ROOM - 1, 2 * ROOM + 1)),
    on_device=some.booleans(),
)
def test_every_row_reads_its_prompt_and_what_it_has_written(
    prompts: int, rows_per_prompt: int, heads: int, groups: int, lengths: list[int], new: int, on_device: bool
) -> None:
    longest, rows = max(lengths[:prompts]), prompts * rows_per_prompt
    keys, values = drawn(prompts, heads, longest, WIDTH, seed=0), drawn(prompts, heads, longest, WIDTH, seed=1)
    padding = torch.tensor([[place < longest - length for place in range(longest)] for length in lengths[:prompts]])
    cursor: Cursor = DeviceCursor(new, torch.device("cpu")) if on_device else ProgramCursor()
    shared = SharedPrompts(cache_of(keys, values), (~padding).long(), rows_per_prompt, new, cursor)
    (layer,) = shared.layers
    for step in range(new):
        shared.make_room()
        layer.update(tokens_of_rows(rows, heads, 2 + step), tokens_of_rows(rows, heads, 20 + step))
        own_keys, own_values = (buffer[:, :, : step + 1] for buffer in layer._own())
        query = tokens_of_rows(rows, heads * groups, 40 + step)
        known = [
            torch.cat([shared.repeat_interleave(rows_per_prompt, 0), own], 2).repeat_interleave(groups, 1)
            for shared, own in ((keys, own_keys), (values, own_values))
        ]
        allowed = torch.nn.functional.pad(~padding.repeat_interleave(rows_per_prompt, 0), (0, step + 1), value=True)
        expected = scaled_dot_product_attention(query, *known, attn_mask=allowed[:, None, None], scale=0.3)
        torch.testing.assert_close(layer.attend(query, 0.3), expected, rtol=0, atol=ROUNDING)
        shared.check_all_read()
        shared.advance()
    assert layer.get_seq_length() == longest + new == layer.get_max_length()


def cache_of(keys: Tensor, values: Tensor) -> DynamicCache:
    cache = DynamicCache()
    cache.update(keys, values, 0)
    return cache
