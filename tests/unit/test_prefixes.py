"""What sequences have in common passes the model once, and every number is what it was."""

from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from fixtures.folders import ARCHITECTURES, CONTEXT, VOCABULARY, float64_policy, random_model
from fixtures.models import tiny_policy
from fixtures.sequences import sequence
from fixtures.texts import by_products
from posttrain import ragged
from posttrain.attention import BLOCKED
from posttrain.batching import collate, microbatches
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import TOKENS_OF_A_ROW, Prefixes, can_share, choose_attention, prefixes
from posttrain.types import Origin, TokenBatch, TrainingSequence
from tolerances import GRADIENT, MODEL

TOKENS = some.lists(some.integers(1, 9), min_size=1, max_size=6)
GROUP = some.tuples(TOKENS, some.lists(TOKENS, min_size=1, max_size=4))
"""What the sequences of a group begin with, and how each goes on."""


def rows(groups: list[tuple[list[int], list[list[int]]]]) -> list[TrainingSequence]:
    out = []
    for number, (prompt, rests) in enumerate(groups):
        for rest in rests:
            origins = [Origin.PROMPT] * len(prompt) + [Origin.SAMPLED] * len(rest)
            out.append(sequence([*prompt, *rest], origins, uid=len(out), group=number))
    return out


def batch_of(groups: list[tuple[list[int], list[list[int]]]]) -> TokenBatch:
    return collate(rows(groups), 0, torch.device("cpu"))


def all_of(batch: TokenBatch) -> Prefixes | None:
    return prefixes(batch, batch.attention_mask.sum(1))


SHARED = [([1, 2, 3], [[4], [5, 6], [4, 7, 8]]), ([9], [[1, 2, 3, 4], [5]])]


def test_the_row_holds_what_is_common_once_and_then_the_rests() -> None:
    found = all_of(batch_of(SHARED))
    assert found is not None
    assert found.tokens.tolist() == [[1, 2, 3, 9, 4, 5, 6, 4, 7, 8, 1, 2, 3, 4, 5]]
    assert found.positions.tolist() == [[0, 1, 2, 0, 3, 3, 4, 3, 4, 5, 1, 2, 3, 4, 1]]
    assert found.place[:, :4].tolist() == [[0, 1, 2, 4], [0, 1, 2, 5], [0, 1, 2, 7], [3, 10, 11, 12], [3, 14, 0, 0]]


def test_groups_that_have_nothing_in_common_are_no_exception() -> None:
    apart = [([], [[1, 2, 3], [4, 5]]), ([7, 8], [[1], [2, 3, 4, 5]])]
    found = all_of(batch_of(apart))
    assert found is not None
    assert found.tokens.tolist() == [[7, 8, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5]]
    check_alike(tiny_policy(), batch_of(apart))
    check_alike(tiny_policy(), batch_of([([], [[1, 2, 3], [4, 5], [6]])]))


def test_nothing_is_gained_where_nothing_is_repeated_or_padded() -> None:
    assert all_of(batch_of([([1, 2], [[3, 4]]), ([2, 1], [[4, 3]])])) is None


def logprobs_and_gradients(policy: Policy, batch: TokenBatch) -> tuple[Tensor, Tensor, list[Tensor]]:
    positions = batch.attention_mask.bool()
    positions[:, 0] = False
    forward = Forward(policy, batch, positions)
    weights = torch.linspace(0.5, 1.5, positions.numel(), dtype=torch.float64).view(positions.shape) / positions.sum()
    (forward.logprobs * weights).sum().backward()
    gradients = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
    policy.model.zero_grad()
    return forward.logprobs.detach(), forward.entropy.detach(), gradients


def check_alike(policy: Policy, batch: TokenBatch) -> None:
    apart = logprobs_and_gradients(policy, batch)
    choose_attention(policy.model)
    assert can_share(policy.model)
    together = logprobs_and_gradients(policy, batch)
    torch.testing.assert_close(together[:2], apart[:2], rtol=0, atol=MODEL)
    torch.testing.assert_close(together[2], apart[2], rtol=0, atol=GRADIENT)


@given(some.lists(GROUP, min_size=1, max_size=4))
def test_logprobs_entropies_and_gradients_are_those_of_separate_passes(
    groups: list[tuple[list[int], list[list[int]]]],
) -> None:
    check_alike(tiny_policy(), batch_of(groups))


@given(some.lists(GROUP, min_size=1, max_size=4))
def test_so_they_are_where_a_kernel_reads_texts_of_different_lengths(
    groups: list[tuple[list[int], list[list[int]]]],
) -> None:
    with patch.object(ragged, "can_attend", lambda query: True), patch.object(ragged, "attend", by_products):
        check_alike(tiny_policy(), batch_of(groups))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_so_they_are_in_other_architectures(architecture: str) -> None:
    check_alike(float64_policy(architecture), batch_of(SHARED))


def test_it_is_really_used() -> None:
    policy, passed = tiny_policy(), []
    choose_attention(policy.model)
    embedding = policy.model.get_input_embeddings()
    embedding.register_forward_hook(lambda module, given, out: passed.append(given[0].numel()))
    logprobs_and_gradients(policy, batch_of(SHARED))
    with patch("posttrain.prefixes.TOKENS_OF_A_ROW", 1):
        logprobs_and_gradients(policy, batch_of(SHARED))
    assert passed == [TOKENS_OF_A_ROW, 10]  # without the last token of each of the five sequences


def test_a_model_that_does_not_part_the_texts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy()
    choose_attention(policy.model)
    plain = type(policy.model.model).forward

    def deaf(self: object, *given: object, texts: object = None, **named: object) -> object:
        return plain(self, *given, **named)

    monkeypatch.setattr(type(policy.model.model), "forward", deaf)
    with pytest.raises(RuntimeError, match="part them"):
        logprobs_and_gradients(policy, batch_of(SHARED))


def windowed(window: int | None) -> PreTrainedModel:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
    return MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=window))


def test_a_layer_that_forgets_shares_nothing() -> None:
    forgetful, other = windowed(6), windowed(None)
    for model in (forgetful, other):
        choose_attention(model)
    assert not can_share(forgetful)
    assert forgetful.config._attn_implementation == BLOCKED
    assert can_share(other)


def test_a_model_whose_attention_adds_to_the_mask_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama", initializer_range=0.3)
    plain = Prefixes.attend

    def biased(self: Prefixes, *given: Tensor) -> Tensor:
        return plain(self, *given) + 1.0

    monkeypatch.setattr(Prefixes, "attend", biased)
    choose_attention(model)
    assert not can_share(model)


def test_a_model_that_refuses_the_texts_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("llama", initializer_range=0.3)
    plain = type(model.model).forward

    def narrow(self: object, input_ids: Tensor, use_cache: bool) -> object:
        return plain(self, input_ids=input_ids, use_cache=use_cache)

    monkeypatch.setattr(type(model.model), "forward", narrow)
    choose_attention(model)
    assert model.config._attn_implementation == BLOCKED


def test_sequences_of_a_group_stand_beside_each_other_where_that_saves_something() -> None:
    mixed = rows([([1], [[2] * 3, [2] * 9]), ([1], [[2] * 8, [2] * 4])])
    assert [s.uid for part in microbatches(mixed, 100) for s in part] == [1, 2, 3, 0]
    assert [s.uid for part in microbatches(mixed, 100, beside_each_other=True) for s in part] == [1, 0, 2, 3]
