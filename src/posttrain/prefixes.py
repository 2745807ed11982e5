"""Sequences of a group begin alike: with the prompt, and the hint. What they have in common passes a model once.

The rows of a batch become one row without repetitions and without padding, and only attention sees them apart again.
Every state, and every gradient, is what it would be if each sequence were passed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from posttrain import ragged
from posttrain.attention import BLOCKED, QUERIES_PER_BLOCK, SHARED, WRITING, CausalAttention, register
from posttrain.gathered import gathered
from posttrain.types import TokenBatch

TOKENS_OF_A_ROW, PLACES = 64, 8
"""Rows on a CPU, and padded places in them, are multiples of these: a processor's bfloat16 products are programs made
for their sizes when these first come, which takes longer than to multiply the matrices of a small model."""
WORTH_SHARING = 0.1
"""Sequences are passed together if at least this share of the batch's places is padding or repetition."""


def choose_attention(model: Any, autocast: torch.dtype | None = None) -> None:
    """Let a model share what its sequences have in common, where that is right, and on a CPU attend in blocks.

    On a GPU whole passes are left to its fused kernels, and rows of several texts to one that reads texts of different
    lengths; where it has none for the model, prompts are shared while text is written only.

    Args:
        model: a Hugging Face model, with the attention that transformers chose for it.
        autocast: the type of its products, ``None`` for that of its weights.
    """
    config = model.config
    if getattr(config, "attn_logit_softcapping", None) is not None:  # Gemma 2; no fused kernel caps
        model.set_attn_implementation("eager")
    elif config._attn_implementation == "sdpa" and model._supports_attention_backend:
        register()
        if not (_holds_every_token(config) and _parts_texts(model)):
            model.set_attn_implementation(BLOCKED if model.device.type == "cpu" else "sdpa")
        else:
            model.set_attn_implementation(SHARED if _reads_rows_of_texts(model, autocast) else WRITING)


def can_share(model: Any) -> bool:
    """Whether a model attends in a way that can be told which tokens of a row belong together."""
    return bool(model.config._attn_implementation == SHARED)


def reads_shared_prompts(model: Any) -> bool:
    """Whether a model attends in a way that can be told who holds the prompts of the rows that it writes."""
    return bool(model.config._attn_implementation in (SHARED, WRITING))


def _reads_rows_of_texts(model: Any, autocast: torch.dtype | None) -> bool:
    """Whether there is an attention for them that is worth its time: on a CPU there is."""
    config, dtype = model.config, autocast or model.dtype
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return model.device.type == "cpu" or ragged.attends_rightly(model.device, dtype, width)


def _holds_every_token(config: Any) -> bool:
    """Whether no layer forgets, as those with a sliding window do."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


def _parts_texts(model: Any) -> bool:
    """Whether two sequences that begin alike get the same states together and apart: some models add masks or values.

    Measured once, with the weights as they are; what fails here would fail, or be wrong, in training.
    """
    tokens = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7]], device=model.device) % int(model.config.vocab_size)
    lengths, group = (torch.full((2,), number, device=tokens.device) for number in (tokens.shape[1], 0))
    together = _as_one_row(tokens, lengths, group)
    with torch.no_grad():
        apart = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        model.set_attn_implementation(SHARED)
        try:
            states = together.pass_through(model)
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
            return False
    return bool(torch.allclose(states, apart, rtol=1e-3, atol=1e-3))


@dataclass(eq=False)
class Prefixes:
    """A batch as one row: first what the sequences of each of ``p`` groups have in common, then the rest of each.

    Args:
        tokens: Int["1 m"].
        positions: Int["1 m"], each token's place in its own sequence.
        place: Int["b l"], where each token of the batch stands in the row; 0 for padding and what is not wanted.
        common: Bool["p c"], which places of the padded common parts are taken, in the order of the row.
        own: Bool["b r"], the same of the rests.
        group: Int["b"], the common part that each rest goes on from.
        reads: how many layers have attended.
    """

    tokens: Tensor
    positions: Tensor
    place: Tensor
    common: Tensor
    own: Tensor
    group: Tensor
    reads: int = 0

    def taken(self, of_batch: Tensor) -> Tensor:
        """Bool["b l"] -> Bool["1 n"]: the tokens of the row, as it passes, that stand for some of the batch's."""
        row = torch.zeros(self.tokens.shape[1] + self._spare, dtype=torch.bool, device=self.tokens.device)
        row[self.place[of_batch]] = True
        return row[None]

    @property
    def _spare(self) -> int:
        """Places at the end of the row that no token takes."""
        return _missing(self.tokens.shape[1], TOKENS_OF_A_ROW) if self.tokens.device.type == "cpu" else 0

    def pass_through(self, model: Any) -> Tensor:
        """Float["b l d"]: the model's last states of every token of the batch; where it has no place, of some token.

        Raises:
            RuntimeError: the model does not ask its attention to part the texts.
        """
        # What is four-dimensional is not looked into by the model, and attention to texts needs no mask.
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.tokens.device)
        tokens, positions = (nn.functional.pad(x, (0, self._spare)) for x in (self.tokens, self.positions))
        asked = {"input_ids": tokens, "position_ids": positions, "attention_mask": mask}
        states = model.base_model(**asked, use_cache=False, texts=self).last_hidden_state[0]
        if self.reads != int(model.config.num_hidden_layers):
            raise RuntimeError("the model does not pass the texts on to its attention, which would not part them")
        return states.index_select(0, self.place.flatten()).view(*self.place.shape, -1)  # type: ignore[no-any-return]

    # Not to be compiled: what is where in the row would be another program for every batch.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Every token reads the tokens before it in its own sequence, and itself.

        Args:
            query: Float["1 hq n d"], of n >= m tokens, of which only m are any.
            key: Float["1 hk n d"], with hk a divisor of hq.
            value: the same.
            scale: of the products.

        Returns:
            Float["1 n hq d"].
        """
        self.reads += 1
        count = self.tokens.shape[1]
        queries, keys, values = (x[0, :, :count].transpose(0, 1).to(value.dtype) for x in (query, key, value))
        attend = self._as_texts if ragged.can_attend(queries) else self._as_padded
        read = attend(queries, keys, values, scale)
        return nn.functional.pad(read, (0, 0, 0, 0, 0, query.shape[2] - count))[None]

    def _as_texts(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """Float["m hq d"] and twice Float["m hk d"] -> Float["m hq d"], the texts one after the other."""
        places, texts = self._texts
        return ragged.attend(query, gathered(key, places), gathered(value, places), texts, scale)

    @cached_property
    def _texts(self) -> tuple[Tensor, ragged.Texts]:
        """Where the keys of all texts stand in the row, Int["k"], and the texts: what is common, then each rest.

        A text without queries of its own, such as a rest where a sequence is all common, is none.
        """
        common, rests = self.common.sum(1), self.own.sum(1)
        whole = torch.where(rests > 0, common[self.group] + rests, 0)
        taken = torch.arange(self.place.shape[1], device=self.place.device) < whole[:, None]
        places = torch.cat([torch.arange(int(common.sum()), device=self.place.device), self.place[taken]])
        queries, keys = torch.cat([common, rests]), torch.cat([common, whole])
        return places, ragged.texts_of(queries[queries > 0], keys[queries > 0])

    def _as_padded(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """The same, padded and by products in blocks."""
        end, width = int(self.common.sum()), query.shape[2]
        flat = [x.flatten(1) for x in (query, key, value)]
        first = [_padded(x[:end], self.common, width) for x in flat]
        of_common = CausalAttention.apply(*first, None, scale, QUERIES_PER_BLOCK)  # type: ignore[no-untyped-call]
        read = [_taken(of_common, self.common)]
        if self.own.shape[1]:
            rest = [_padded(x[end:], self.own, width) for x in flat]
            seen = [torch.cat([gathered(known, self.group), own], 2) for known, own in zip(first[1:], rest[1:])]
            others = ~self.common[self.group]
            of_own = CausalAttention.apply(rest[0], *seen, others, scale, QUERIES_PER_BLOCK)  # type: ignore[no-untyped-call]
            read.append(_taken(of_own, self.own))
        return torch.cat(read).view(query.shape)


def prefixes(batch: TokenBatch, lengths: Tensor) -> Prefixes | None:
    """How a batch becomes one row, or ``None`` if that would leave out too little.

    Args:
        batch: the batch.
        lengths: Int["b"], how many tokens of each sequence are wanted, from its beginning.
    """
    if not bool(lengths.any()):
        return None
    _, group = torch.unique(batch.group, return_inverse=True)
    made = _as_one_row(batch.tokens, lengths, group)
    whole = len(lengths) * int(lengths.max())
    return made if made.tokens.numel() <= (1 - WORTH_SHARING) * whole else None


def _as_one_row(tokens: Tensor, lengths: Tensor, group: Tensor) -> Prefixes:
    """Int["b l"] right-padded, Int["b"] their lengths and Int["b"] their groups, numbered from 0."""
    taken = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    common = _common_lengths(tokens, lengths, group)
    begins, rests = common.cumsum(0) - common, (lengths - common[group]).clamp(min=0)
    passed = int(common.sum() + rests.sum())
    at = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    rest_begins = common.sum() + rests.cumsum(0) - rests
    in_common = begins[group][:, None] + at
    in_rest = (rest_begins - common[group])[:, None] + at
    place = torch.where(at < common[group][:, None], in_common, in_rest).where(taken, 0)
    row, positions = (tokens.new_empty(passed) for _ in range(2))
    row[place[taken]] = tokens[taken]
    positions[place[taken]] = at[taken]
    return Prefixes(row[None], positions[None], place, _below(common), _below(rests), group)


def _common_lengths(tokens: Tensor, lengths: Tensor, group: Tensor) -> Tensor:
    """Int["p"]: with how many tokens all sequences of a group begin that have any; 0 if already their first differ."""
    count, longest = int(group.max()) + 1, torch.full_like(lengths, tokens.shape[1])
    leader = torch.full((count,), len(group), device=group.device).scatter_reduce(
        0, group, torch.arange(len(group), device=group.device), "amin"
    )
    alike = (tokens == tokens[leader[group]]).cumprod(1).sum(1).minimum(lengths).where(lengths > 0, longest)
    most = torch.zeros_like(longest[:count]).scatter_reduce(0, group, lengths, "amax")
    return most.scatter_reduce(0, group, alike, "amin")


def _below(lengths: Tensor) -> Tensor:
    """Int["p"] -> Bool["p c"]."""
    longest = int(lengths.max())
    return torch.arange(longest + _missing(longest, PLACES), device=lengths.device)[None] < lengths[:, None]


def _missing(count: int, size: int) -> int:
    """To the next multiple."""
    return -count % size


def _padded(rows: Tensor, taken: Tensor, width: int) -> Tensor:
    """Float["k h*d"] -> Float["b h l d"] where Bool["b l"] is taken, zeros elsewhere."""
    out = rows.new_zeros(taken.numel(), rows.shape[1])
    out = out.index_copy(0, taken.flatten().nonzero()[:, 0], rows)
    return out.view(*taken.shape, rows.shape[1] // width, width).transpose(1, 2)


def _taken(padded: Tensor, taken: Tensor) -> Tensor:
    """Float["b h l d"] -> Float["k h*d"], the way back."""
    return padded.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, taken.flatten().nonzero()[:, 0])
