"""Sequences of a group begin alike: with the prompt, and the hint. What they have in common passes a model once.

The rows of a batch become one row without repetitions and without padding, and only attention sees them apart again.
Every state, and every gradient, is what it would be if each sequence were passed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from posttrain.attention import BLOCKED, QUERIES_PER_BLOCK, CausalAttention
from posttrain.types import TokenBatch

WORTH_SHARING = 0.1
"""Sequences are passed together if at least this share of the batch's places is padding or repetition."""


def can_share(model: Any) -> bool:
    """Whether a model attends in a way that can be told which tokens belong together."""
    kinds = getattr(model.config, "layer_types", None) or ["full_attention"]
    return model.config._attn_implementation == BLOCKED and set(kinds) == {"full_attention"}


@dataclass(eq=False)
class Prefixes:
    """A batch as one row: first what the sequences of each of ``p`` groups have in common, then the rest of each.

    Args:
        tokens: Int["1 m"].
        positions: Int["1 m"], each token's place in its own sequence.
        place: Int["b l"], where each token of the batch stands in the row; 0 for padding.
        common: Bool["p c"], which places of the padded common parts are taken, in the order of the row.
        own: Bool["p n s"], the same of the rests; a group with fewer than n sequences has empty ones.
        reads: how many layers have attended.
    """

    tokens: Tensor
    positions: Tensor
    place: Tensor
    common: Tensor
    own: Tensor
    reads: int = 0

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Every token reads the tokens before it in its own sequence, and itself.

        Args:
            query: Float["1 hq m d"].
            key: Float["1 hk m d"], with hk a divisor of hq.
            value: the same.
            scale: of the products.

        Returns:
            Float["1 m hq d"].
        """
        self.reads += 1
        heads, width, end = key.shape[1], query.shape[3], int(self.common.sum())
        flat = [x[0].transpose(0, 1).flatten(1).to(value.dtype) for x in (query, key, value)]
        first = [_padded(x[:end], self.common).unflatten(2, (-1, width)).transpose(1, 2) for x in flat]
        of_common = CausalAttention.apply(*first, scale, QUERIES_PER_BLOCK)  # type: ignore[no-untyped-call]
        rest = [_padded(x[end:], self.own).unflatten(3, (heads, -1, width)) for x in flat]
        of_own = self._read_on(rest[0], rest[1][..., 0, :], rest[2][..., 0, :], first[1], first[2], scale)
        read = torch.cat([_taken(of_common.transpose(1, 2).flatten(2), self.common), _taken(of_own, self.own)])
        return read.view(1, len(read), -1, width)

    def _read_on(
        self, query: Tensor, key: Tensor, value: Tensor, common_key: Tensor, common_value: Tensor, scale: float
    ) -> Tensor:
        """The rests read what is common to their group, and themselves.

        Args:
            query: Float["p n s h g d"].
            key: Float["p n s h d"].
            value: the same.
            common_key: Float["p h c d"].
            common_value: the same.
            scale: of the products.

        Returns:
            Float["p n s h*g*d"].
        """
        prompts, rows, length, heads, groups, width = query.shape
        asked = (query * scale).permute(0, 3, 1, 4, 2, 5).flatten(3, 4)  # p h n g*s d
        key, value = key.permute(0, 3, 1, 2, 4), value.permute(0, 3, 1, 2, 4)  # p h n s d
        to_common = asked.flatten(2, 3) @ common_key.transpose(2, 3)
        to_common = to_common.masked_fill(~self.common[:, None, None], -torch.inf).view(*asked.shape[:4], -1)
        later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu_(1).repeat(groups, 1)
        to_own = (asked @ key.transpose(3, 4)).masked_fill(later, -torch.inf)
        wide = torch.promote_types(query.dtype, torch.float32)
        weights = torch.softmax(torch.cat([to_common, to_own], -1), -1, dtype=wide).to(query.dtype)
        of_common, of_own = weights.split([common_key.shape[2], length], -1)
        read = (of_common.flatten(2, 3) @ common_value).view(asked.shape) + of_own @ value
        return read.view(prompts, heads, rows, groups, length, width).permute(0, 2, 4, 1, 3, 5).flatten(3)


def prefixes(batch: TokenBatch) -> Prefixes | None:
    """How a batch becomes one row, or ``None`` if that would leave out too little."""
    tokens, lengths = batch.tokens, batch.attention_mask.sum(1)
    _, group, counts = torch.unique(batch.group, return_inverse=True, return_counts=True)
    common = _common_lengths(tokens, lengths, group)
    passed = int(common.sum()) + int((lengths - common[group]).sum())
    if passed > (1 - WORTH_SHARING) * tokens.numel():
        return None
    begins = common.cumsum(0) - common
    rest = lengths - common[group]
    # Rests stand group by group, so that the order of the row is that of the places of ``own``.
    order = group.argsort(stable=True)
    rest_begins = torch.empty_like(rest)
    rest_begins[order] = int(common.sum()) + rest[order].cumsum(0) - rest[order]
    at = torch.arange(tokens.shape[1], device=tokens.device)[None]
    shared = at < common[group][:, None]
    place = torch.where(shared, begins[group][:, None] + at, rest_begins[:, None] + at - common[group][:, None])
    place = place.where(batch.attention_mask.bool(), 0)
    taken = batch.attention_mask.bool()
    row, positions = (torch.empty(passed, dtype=torch.long, device=tokens.device) for _ in range(2))
    row[place[taken]] = tokens[taken]
    positions[place[taken]] = at.expand_as(tokens)[taken]
    sizes = [r[:, None] for r in rest[order].split(counts.tolist())]
    rests = pad_sequence(sizes, batch_first=True)  # p n 1
    own = torch.arange(max(1, int(rest.max())), device=tokens.device) < rests
    return Prefixes(row[None], positions[None], place, _below(common), own)


def _common_lengths(tokens: Tensor, lengths: Tensor, group: Tensor) -> Tensor:
    """Int["p"]: how many tokens the sequences of each group have in common, at least their first one."""
    count = int(group.max()) + 1
    leader = torch.full((count,), len(group), device=group.device).scatter_reduce(
        0, group, torch.arange(len(group), device=group.device), "amin"
    )
    alike = (tokens == tokens[leader[group]]).cumprod(1).sum(1).minimum(lengths)
    return torch.full((count,), tokens.shape[1], device=group.device).scatter_reduce(0, group, alike, "amin")


def _below(lengths: Tensor) -> Tensor:
    """Int["p"] -> Bool["p c"]."""
    return torch.arange(int(lengths.max()), device=lengths.device)[None] < lengths[:, None]


def _padded(rows: Tensor, taken: Tensor) -> Tensor:
    """Float["k x"] -> Float["*taken x"], zeros elsewhere."""
    out = rows.new_zeros(taken.numel(), rows.shape[1])
    return out.index_copy(0, taken.flatten().nonzero()[:, 0], rows).view(*taken.shape, -1)


def _taken(padded: Tensor, taken: Tensor) -> Tensor:
    """The way back."""
    return padded.flatten(0, -2).index_select(0, taken.flatten().nonzero()[:, 0])
