"""Attention to texts of different lengths that stand one after the other, by the flash kernel that torch has for GPUs.

``torch.nn.attention.varlen`` wraps it, with arguments that differ between releases of torch; the operator itself is
differentiable, and a kernel that does not take what it is given here is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WIDEST = 256
"""Numbers of a head's key, at most; and a multiple of 8."""
ALIKE = 0.1
"""How far its numbers and gradients in half precision may be from those of plain products, for values of order 1."""
FLASH = torch.ops.aten._flash_attention_forward


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
    """From how many there are of each, Int["n"], with no more queries than keys in any text and at least one.

    Texts without queries are refused by the kernel where no text has more than one.
    """
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
    found = FLASH(
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
    """Whether the kernel is there, and what it reads and its gradients are right: looked at on a few numbers.

    Args:
        device: where it would run.
        dtype: of queries, keys and values.
        width: of a head's key.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = ((5, 2), (7, 1), (7, 1))
    inputs = [torch.randn(*size, width, generator=generator).to(device, dtype).requires_grad_() for size in sizes]
    if not can_attend(inputs[0]):
        return False
    texts = texts_of(torch.tensor([2, 3], device=device), torch.tensor([4, 3], device=device))
    scale = width**-0.5
    try:
        found = _with_gradients(attend(inputs[0], inputs[1], inputs[2], texts, scale), inputs)
    except (RuntimeError, TypeError):  # not there, not for this device, or with other arguments
        return False
    query, key, value = inputs
    apart = [_plain(query[:2], key[:4], value[:4], scale), _plain(query[2:], key[4:], value[4:], scale)]
    expected = _with_gradients(torch.cat(apart), inputs)
    return all(torch.allclose(x.float(), y.float(), rtol=0, atol=ALIKE) for x, y in zip(found, expected))


def _with_gradients(out: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """The output, and the gradients of its weighted sum."""
    weights = torch.linspace(-1, 1, out.numel(), device=out.device).view(out.shape)
    return [out, *torch.autograd.grad((out.float() * weights).sum(), inputs)]


def _plain(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """One text by plain products: Float["q h d"] and twice Float["k 1 d"] -> Float["q h d"] in float32."""
    q, k, v = query.float().transpose(0, 1), key[:, 0].float(), value[:, 0].float()
    later = torch.ones(len(query), len(key), dtype=torch.bool, device=q.device).triu_(len(key) - len(query) + 1)
    return ((q @ k.T * scale).masked_fill(later, -torch.inf).softmax(-1) @ v).transpose(0, 1)
