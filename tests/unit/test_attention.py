"""Attention in blocks against the fused kernels: values and gradients, whatever the lengths, heads and blocks."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import Gemma2Config, Gemma2ForCausalLM

from fixtures.folders import CONTEXT, VOCABULARY, random_model
from posttrain.attention import QUERIES_PER_BLOCK, SHARED, CausalAttention
from posttrain.prefixes import choose_attention
from tolerances import FLOAT32_MODEL, MODEL, ROUNDING


def drawn(*shape: int, seed: int) -> Tensor:
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return numbers.requires_grad_(True)


@pytest.mark.parametrize("kept_numbers", [0, 100])
@given(
    length=some.integers(1, 20),
    heads=some.integers(1, 3),
    groups=some.integers(1, 3),
    queries_per_block=some.integers(1, 24),
)
def test_values_and_gradients_are_those_of_the_fused_kernels(
    kept_numbers: int, length: int, heads: int, groups: int, queries_per_block: int
) -> None:
    query = drawn(2, heads * groups, length, 4, seed=0)
    key, value = drawn(2, heads, length, 4, seed=1), drawn(2, heads, length, 4, seed=2)
    above = drawn(2, heads * groups, length, 4, seed=3).detach()
    with patch("posttrain.attention.KEPT_NUMBERS", kept_numbers):
        ours = CausalAttention.apply(query, key, value, None, 0.3, queries_per_block)
    repeated = (x.repeat_interleave(groups, 1) for x in (key, value))
    theirs = scaled_dot_product_attention(query, *repeated, is_causal=True, scale=0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)
    for one, other in zip(*(torch.autograd.grad(out, (query, key, value), above) for out in (ours, theirs))):
        torch.testing.assert_close(one, other, rtol=0, atol=ROUNDING)


def test_the_first_token_reads_itself_and_the_second_both_by_their_weights() -> None:
    query = torch.tensor([0.0, 1.0])[None, None, :, None]
    key, value = torch.tensor([0.0, 2.0])[None, None, :, None], torch.tensor([3.0, 5.0])[None, None, :, None]
    read = CausalAttention.apply(query, key, value, None, 0.5, 1).flatten()  # the second weighs 1 to e^(1 x 2 / 2)
    share = 1 / (1 + torch.e)
    torch.testing.assert_close(read, torch.tensor([3.0, 3 * share + 5 * (1 - share)]))


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_a_model_computes_the_same_with_it(architecture: str) -> None:
    model = random_model(architecture, initializer_range=0.3).double().eval()
    assert QUERIES_PER_BLOCK > CONTEXT
    tokens = torch.randint(1, VOCABULARY, (3, CONTEXT), generator=torch.Generator().manual_seed(0))
    before = model(input_ids=tokens, use_cache=False).logits
    choose_attention(model)
    assert model.config._attn_implementation == SHARED
    torch.testing.assert_close(model(input_ids=tokens, use_cache=False).logits, before, rtol=0, atol=MODEL)


def test_padding_is_left_to_the_fused_kernels() -> None:
    model = random_model("llama", initializer_range=0.3).eval()
    tokens, mask = torch.arange(1, 13).view(2, 6), torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6])
    before = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    choose_attention(model)
    after = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    torch.testing.assert_close(after[0, 2:], before[0, 2:], rtol=0, atol=FLOAT32_MODEL)
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=FLOAT32_MODEL)


def test_capped_products_are_left_to_the_model() -> None:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": CONTEXT}
    model = Gemma2ForCausalLM(Gemma2Config(**sizes, **heads))
    choose_attention(model)
    assert model.config._attn_implementation == "eager"


def test_reduced_precision_is_kept_from_input_to_output() -> None:
    inputs = (drawn(1, 2, 5, 4, seed=s).detach().bfloat16().requires_grad_(True) for s in range(3))
    query, key, value = inputs
    read = CausalAttention.apply(query, key, value, None, 0.5, 2)
    read.float().sum().backward()
    assert read.dtype is query.grad.dtype is key.grad.dtype is value.grad.dtype is torch.bfloat16


@given(length=some.integers(1, 9), before=some.integers(1, 6), queries_per_block=some.integers(1, 10))
def test_what_stands_before_is_read_unless_it_is_padding(length: int, before: int, queries_per_block: int) -> None:
    query = drawn(2, 4, length, 4, seed=0)
    key, value = drawn(2, 2, before + length, 4, seed=1), drawn(2, 2, before + length, 4, seed=2)
    padding = torch.tensor([[place >= known for place in range(before)] for known in (1, before)])
    allowed = torch.ones(length, before + length, dtype=torch.bool).tril(before)
    mask = allowed & ~torch.nn.functional.pad(padding, (0, length))[:, None, None]
    above = drawn(2, 4, length, 4, seed=3).detach()
    ours = CausalAttention.apply(query, key, value, padding, 0.3, queries_per_block)
    repeated = (x.repeat_interleave(2, 1) for x in (key, value))
    theirs = scaled_dot_product_attention(query, *repeated, attn_mask=mask, scale=0.3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)
    for one, other in zip(*(torch.autograd.grad(out, (query, key, value), above) for out in (ours, theirs))):
        torch.testing.assert_close(one, other, rtol=0, atol=ROUNDING)
