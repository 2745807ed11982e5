"""Attention to texts of different lengths that stand one after the other, by the flash kernel that torch has for GPUs.

torch 2.10 and later wrap it as ``torch.nn.attention.varlen``, with other arguments in every release; the operator below
has been the same since 2.2 and is differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WIDEST = 256
"""Numbers of a head's key, at most; and a multiple of 8."""
ALIKE = 2e-2
"""How far its bfloat16 numbers may be from those of plain products, for values of order 1."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Which queries read which keys: those of the same text, each its own place's and earlier ones.

    The queries of a text are its last tokens; its keys may begin before them.

    Args:
        query_ends: Int32["n+1"], where each text's queries end, from 0.
        key_ends: Int32["n+1"], the same of its keys.
        most_queries: of a text.
        most_keys: of a text.
    """

    query_ends: Tensor
    key_ends: Tensor
    most_queries: int
    most_keys: int


def texts_of(queries: Tensor, keys: Tensor) -> Texts:
    """From how many there are of each, Int["n"], with no more queries than keys in any text."""
    ends = [torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).int() for lengths in (queries, keys)]
    return Texts(ends[0], ends[1], int(queries.max()), int(keys.max()))


def can_attend(query: Tensor) -> bool:
    """Whether the kernel takes such queries: half precision, on a GPU of compute capability 8 or more."""
    return (
        query.device.type == "cuda"
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[-1] <= WIDEST
        and query.shape[-1] % 8 == 0
        and torch.version.hip is None
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def attend(query: Tensor, key: Tensor, value: Tensor, texts: Texts, scale: float) -> Tensor:
    """What each query reads.

    Args:
        query: Float["q hq d"], text by text.
        key: Float["k hk d"], with hk a divisor of hq.
        value: the same.
        texts: of q queries and k keys.
        scale: of the products.

    Returns:
        Float["q hq d"].
    """
    found = torch.ops.aten._flash_attention_forward(
        query.contiguous(),
        key.contiguous(),
        value.contiguous(),
        texts.query_ends,
        texts.key_ends,
        texts.most_queries,
        texts.most_keys,
        0.0,  # no dropout
        True,  # causal, aligned to the last token of queries and keys
        False,
        scale=scale,
    )
    out: Tensor = found[0]
    return out


def attends_rightly(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether the kernel is there and reads what :class:`Texts` says, looked at once on a few numbers.

    Args:
        device: where it would run.
        dtype: of queries, keys and values.
        width: of a head's key.
    """
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(n, 1, width, generator=generator).to(device, dtype) for n in (5, 7, 7))
    if not can_attend(query):
        return False
    texts = texts_of(torch.tensor([2, 3], device=device), torch.tensor([4, 3], device=device))
    found, scale = attend(query, key, value, texts, width**-0.5), width**-0.5
    expected = torch.cat(
        [_plain(query[:2], key[:4], value[:4], scale), _plain(query[2:], key[4:], value[4:], scale)],
    )
    return bool(torch.allclose(found.float(), expected, rtol=0, atol=ALIKE))


def _plain(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """One text by plain products: Float["q 1 d"] and twice Float["k 1 d"] -> Float["q 1 d"] in float32."""
    q, k, v = (x[:, 0].float() for x in (query, key, value))
    later = torch.ones(len(q), len(k), dtype=torch.bool, device=q.device).triu_(len(k) - len(q) + 1)
    return ((q @ k.T * scale).masked_fill(later, -torch.inf).softmax(-1) @ v)[:, None]
