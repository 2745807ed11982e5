"""Texts of different lengths in one row: which keys each query reads, and that the kernel is asked for it rightly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.texts import by_products
from posttrain import ragged
from posttrain.prefixes import SHARED, WRITING, choose_attention
from tolerances import FLOAT32_RECORD

SHAPES = ((5, 4), (9, 2), (9, 2))
"""Tokens and heads of queries, keys and values."""


@given(some.lists(some.tuples(some.integers(1, 5), some.integers(0, 4)), min_size=1, max_size=5))
def test_ends_and_longest_texts_are_those_of_the_lengths(lengths: list[tuple[int, int]]) -> None:
    queries = torch.tensor([q for q, _ in lengths])
    keys = queries + torch.tensor([more for _, more in lengths])
    texts = ragged.texts_of(queries, keys)
    assert texts.query_ends.dtype is texts.key_ends.dtype is torch.int32
    assert texts.query_ends.diff().tolist() == queries.tolist()
    assert texts.key_ends.diff().tolist() == keys.tolist()
    assert (texts.most_queries, texts.most_keys) == (int(queries.max()), int(keys.max()))


def test_the_kernel_is_asked_for_what_texts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def recorded(query, key, value, query_ends, key_ends, most_queries, most_keys, dropout, causal, debug, *, scale):
        assert (dropout, causal, debug) == (0.0, True, False)
        texts = ragged.Texts(query_ends, key_ends, most_queries, most_keys)
        return by_products(query, key, value, texts, scale), None

    monkeypatch.setattr(ragged, "FLASH", recorded)
    query, key, value = (torch.randn(n, h, 8, dtype=torch.float64) for n, h in SHAPES)
    texts = ragged.texts_of(torch.tensor([1, 4]), torch.tensor([4, 5]))
    expected = by_products(query, key, value, texts, 0.3)
    assert torch.equal(ragged.attend(query, key, value, texts, 0.3), expected)


def test_the_kernel_takes_what_it_is_given_and_gives_gradients_back() -> None:
    elsewhere = torch.device("meta")
    made = [torch.ones(n, h, 32, device=elsewhere, dtype=torch.bfloat16, requires_grad=True) for n, h in SHAPES]
    ends = torch.zeros(3, dtype=torch.int32, device=elsewhere)
    out = ragged.attend(*made, ragged.Texts(ends, ends, 4, 6), 0.5)
    assert (out.shape, out.dtype) == (made[0].shape, torch.bfloat16)
    out.sum().backward()
    assert [x.grad.shape for x in made if x.grad is not None] == [x.shape for x in made]


def test_plain_products_of_one_text_are_those_of_torch() -> None:
    query, key, value = (torch.randn(n, 1, 8, dtype=torch.float64) for n in (6, 6, 6))
    by_torch = torch.nn.functional.scaled_dot_product_attention(
        *(x.transpose(0, 1).float() for x in (query, key, value)), is_causal=True, scale=0.5
    ).transpose(0, 1)
    torch.testing.assert_close(ragged._plain(query, key, value, 0.5), by_torch, rtol=0, atol=FLOAT32_RECORD)


def test_a_kernel_that_reads_other_keys_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(query: Tensor, key: Tensor, value: Tensor, texts: ragged.Texts, scale: float) -> Tensor:
        return by_products(query, key.flip(0), value, texts, scale)

    monkeypatch.setattr(ragged, "can_attend", lambda query: True)
    monkeypatch.setattr(ragged, "attend", by_products)
    assert ragged.attends_rightly(torch.device("cpu"), torch.float64, 8)
    monkeypatch.setattr(ragged, "attend", other)
    assert not ragged.attends_rightly(torch.device("cpu"), torch.float64, 8)


def test_a_kernel_that_is_not_there_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "can_attend", lambda query: True)
    assert not ragged.attends_rightly(torch.device("cpu"), torch.bfloat16, 8)


def test_without_a_kernel_prompts_are_shared_in_writing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ragged.attends_rightly(torch.device("cpu"), torch.bfloat16, 32)
    policy = tiny_policy()
    choose_attention(policy.model)
    assert policy.model.config._attn_implementation == SHARED
    policy.model.set_attn_implementation("sdpa")
    monkeypatch.setattr("posttrain.prefixes._reads_rows_of_texts", lambda model, autocast: False)
    choose_attention(policy.model)
    assert policy.model.config._attn_implementation == WRITING
