"""Causal attention by plain matrix products in blocks of queries, for CPUs.

The fused kernels of torch 2.13 are slow in their backward pass there, most of all in bfloat16, and the plain ones of
transformers hold all [queries x keys] at once. In blocks, the half that causality forbids is hardly computed, and what
is being worked on stays in the processor's cache. ``benchmarks/decisions.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCKED = "posttrain_blocked"
"""The name under which transformers finds this attention."""
SHARED = "posttrain_shared"
"""Its name in models of which it is known that they ask it, and it alone, who reads what."""
WRITING = "posttrain_writing"
"""Its name in such models where rows of several texts have no attention that is worth its time."""
QUERIES_PER_BLOCK = 128
KEPT_NUMBERS = 1 << 25
"""Of a layer's softmax, at most, kept for the backward pass: 64 MiB in bfloat16. Beyond, it is computed again."""
SHORT_ROW = 32
"""Keys, below which the gradient of a softmax is taken in float32: in half precision it goes number by number."""
FUSED_LENGTH = 1024
"""Longer sequences are left to the fused kernels in float32: at 2,048 tokens these are faster, and they hold less."""


class Reader(Protocol):
    """One layer's keys and values of texts that have a prompt in common."""

    def attend(self, query: Tensor, scale: float) -> Tensor:
        """Float["r hq 1 d"] -> Float["r hq 1 d"]: what the newest token of every row reads."""
        ...


class Apart(Protocol):
    """Several texts in one row."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Float["1 hq m d"] and twice Float["1 hk m d"] -> Float["1 m hq d"]: what each token reads of its own text."""
        ...


def register() -> None:
    """Make the attention known to transformers under all its names; to do it twice changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for name in (BLOCKED, SHARED, WRITING):
        AttentionInterface.register(name, attend)
        AttentionMaskInterface.register(name, sdpa_mask)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    readers: Sequence[Reader] | None = None,
    texts: Apart | None = None,
    **features: Any,
) -> tuple[Tensor, None]:
    """What transformers asks of an attention; whole causal passes without a mask are computed in blocks.

    Args:
        module: the attention layer.
        query: Float["b hq q d"].
        key: Float["b hk k d"], with hk a divisor of hq.
        value: the same.
        attention_mask: Bool["b 1 q k"], or ``None`` for plain causality.
        scaling: of the products.
        readers: who reads instead, by layer; they hold the keys and values themselves.
        texts: what stands in one row and is to be read apart.
        dropout: for the fused kernels, which compute all else.
        **features: for them as well.

    Returns:
        Float["b q hq d"], and no weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if readers is not None:
        return readers[int(module.layer_idx)].attend(query, scale).transpose(1, 2), None  # type: ignore[arg-type]
    if texts is not None:
        return texts.attend(query, key, value, scale), None
    if _is_left_to_fused_kernels(query, key, value, attention_mask):
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scale, **features
        )
    # Rotations are computed in float32, and in the backward pass autocast does not reach into the function.
    typed = (query.to(value.dtype), key.to(value.dtype), value)
    whole = _in_one_block if query.shape[2] <= QUERIES_PER_BLOCK else _in_blocks
    return whole(*typed, scale).transpose(1, 2), None


def _in_one_block(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    return CausalAttention.apply(query, key, value, None, scale, QUERIES_PER_BLOCK)  # type: ignore[no-any-return, no-untyped-call]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _in_blocks(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    # Not to be compiled, as that would be another program for every number of blocks.
    return _in_one_block(query, key, value, scale)


def _is_left_to_fused_kernels(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """All on a GPU; steps of decoding, padding on the left, values of another width; and what they are faster at."""
    if query.device.type != "cpu":
        return True
    length = query.shape[2]
    other = mask is not None or length == 1 or length != key.shape[2] or value.shape[3] != key.shape[3]
    return other or (length > FUSED_LENGTH and value.dtype is torch.float32)


class CausalAttention(torch.autograd.Function):
    """Causal attention of a sequence to itself and to what stands before it, differentiable once.

    ``apply(query, key, value, padding, scale, queries_per_block)`` takes the queries Float["b hq l d"] of the last l of
    k tokens, twice Float["b hk k d"] with hk a divisor of hq, Bool["b k-l"] of what is no token among those before or
    ``None``, the factor of the products, and the size of a block, which changes rounding only. It returns
    Float["b hq l d"] in the type of its inputs; the softmax is taken in float32, or in that type if it is wider, and
    rounded to it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        padding: Tensor | None,
        scale: float,
        queries_per_block: int,
    ) -> Tensor:
        """See the class."""
        queries, keys, values = _grouped(query, key), key.flatten(0, 1), value.flatten(0, 1)
        out, before, kept = torch.empty_like(queries), key.shape[2] - query.shape[2], []
        numbers = queries.shape[:-1].numel() * (before + key.shape[2]) // 2
        keeps = any(ctx.needs_input_grad) and numbers <= KEPT_NUMBERS
        for begin, end in _blocks(query.shape[2], queries_per_block):
            rows, seen = _rows(queries, begin, end), before + end
            weights = _weights(rows, keys[:, :seen], end - begin, padding, scale)
            out[:, :, begin:end] = torch.bmm(weights, values[:, :seen]).view_as(out[:, :, begin:end])
            if keeps:
                kept.append(weights)
        ctx.save_for_backward(queries, keys, values, padding, *kept)
        ctx.scale, ctx.queries_per_block, ctx.shapes = scale, queries_per_block, (query.shape, key.shape)
        return out.view(query.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of query, key and value."""
        queries, keys, values, padding, *kept = ctx.saved_tensors
        of_query_shape, of_key_shape = ctx.shapes
        above, before = gradient.reshape(queries.shape), keys.shape[1] - queries.shape[2]
        wide = torch.promote_types(queries.dtype, torch.float32)
        of_query = torch.empty_like(queries)
        of_key, of_value = (torch.zeros(keys.shape, dtype=wide, device=keys.device) for _ in range(2))
        for at, (begin, end) in enumerate(_blocks(queries.shape[2], ctx.queries_per_block)):
            rows, given, seen = _rows(queries, begin, end), _rows(above, begin, end), before + end
            weights = kept[at] if kept else _weights(rows, keys[:, :seen], end - begin, padding, ctx.scale)
            of_value[:, :seen] += torch.bmm(weights.transpose(1, 2), given)
            of_weights = torch.bmm(given, values[:, :seen].transpose(1, 2))
            of_products = _gradient_of_softmax(of_weights, weights)
            of_rows = _scaled_product(of_products, keys[:, :seen], ctx.scale)
            of_query[:, :, begin:end] = of_rows.view_as(of_query[:, :, begin:end])
            of_key[:, :seen] += _scaled_product(of_products.transpose(1, 2), rows, ctx.scale)
        gradients = (of_query.view(of_query_shape), *(x.to(keys.dtype).view(of_key_shape) for x in (of_key, of_value)))
        return *gradients, None, None, None


def _blocks(length: int, size: int) -> list[tuple[int, int]]:
    if 0 < length <= size:  # without a range, which a compiler makes another program of for every length
        return [(0, length)]
    return [(begin, min(begin + size, length)) for begin in range(0, length, size)]


def _grouped(queries: Tensor, key: Tensor) -> Tensor:
    """Float["b hq l d"] -> Float["b*hk g l d"]: heads that read the same keys beside each other."""
    heads = key.shape[1]
    return queries.reshape(key.shape[0] * heads, queries.shape[1] // heads, *queries.shape[2:])


def _rows(grouped: Tensor, begin: int, end: int) -> Tensor:
    """Float["b*hk g l d"] -> Float["b*hk g*n d"]: the queries of a block, which all read the same keys."""
    return grouped[:, :, begin:end].flatten(1, 2)


def _weights(rows: Tensor, keys: Tensor, queries: int, padding: Tensor | None, scale: float) -> Tensor:
    """Softmax over the keys that each query may see; the last ``queries`` keys are those of the block itself."""
    products = _scaled_product(rows, keys.transpose(1, 2), scale)
    # Added, not filled in, which takes a CPU several times as long; an infinite product becomes nan, and is loud.
    later = torch.full((queries, queries), -torch.inf, dtype=rows.dtype, device=rows.device).triu_(1)
    products.unflatten(1, (-1, queries))[..., -queries:].add_(later)  # type: ignore[no-untyped-call]
    if padding is not None:
        by_row = products.view(len(padding), -1, *products.shape[1:])
        by_row[..., : padding.shape[1]].masked_fill_(padding[:, None, None], -torch.inf)
    wide = torch.promote_types(rows.dtype, torch.float32)
    return torch.softmax(products, -1, dtype=wide).to(rows.dtype)


def _gradient_of_softmax(of_weights: Tensor, weights: Tensor) -> Tensor:
    """Of Float["n a b"], in its type; sums are taken in float32 either way."""
    wide = torch.promote_types(weights.dtype, torch.float32)
    dtype = weights.dtype if weights.shape[-1] >= SHORT_ROW else wide
    found = torch.ops.aten._softmax_backward_data(of_weights.to(dtype), weights.to(dtype), -1, dtype)
    return found.to(weights.dtype)  # type: ignore[no-any-return]


def _scaled_product(first: Tensor, second: Tensor, scale: float) -> Tensor:
    """Float["n a b"] and Float["n b c"] -> Float["n a c"], scaled before it is rounded."""
    return torch.baddbmm(first.new_empty(1, 1, 1), first, second, beta=0, alpha=scale)
