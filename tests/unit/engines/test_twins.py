"""The twin of a policy: its weights as they are now, in the type of its products."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from fixtures.folders import CONTEXT, VOCABULARY, bpe_tokenizer
from fixtures.models import tiny_policy, weights
from fixtures.parts import adapters
from fixtures.sequences import continued
from fixtures.walking import Case
from posttrain.adapters.lora import Lora
from posttrain.batching import collate
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.twins import Twin
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.sampling import Completion, Sampling
from posttrain.text import Text
from posttrain.types import Origin
from tolerances import VISIBLE

PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2], [6, 6, 8])]


def reduced(seed: int = 0) -> Policy:
    policy = tiny_policy(seed)
    policy.model.float()
    choose_attention(policy.model)
    return Policy(policy.model, policy.text, torch.bfloat16)


def test_a_policy_that_computes_in_the_type_of_its_weights_is_its_own_twin(policy: Policy) -> None:
    assert Twin(policy).policy is policy


def test_weights_are_cast_and_frequencies_are_not() -> None:
    policy = reduced()
    made = Twin(policy).policy
    assert {p.dtype for p in made.model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in made.model.buffers()} == {torch.float32}
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in made.model.parameters())
    assert made.model.get_output_embeddings().weight is made.model.get_input_embeddings().weight


def test_it_is_filled_with_the_weights_of_now() -> None:
    policy = reduced()
    twin = Twin(policy)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)
    assert twin.is_of(policy)
    twin.fill()
    tokens = torch.tensor([[3, 9, 4]])
    fresh = Twin(policy).policy.model(input_ids=tokens).logits
    assert torch.equal(twin.policy.model(input_ids=tokens).logits, fresh)
    for name, value in weights(policy).items():
        assert torch.equal(weights(twin.policy)[name], value.bfloat16())


def test_an_adapter_or_another_model_needs_another_twin() -> None:
    policy = reduced()
    plain = Twin(policy)
    attached = Lora().attach(policy, 0, {})
    adapted = Twin(policy)
    assert not plain.is_of(policy)
    assert adapted.is_of(policy)
    attached.merge()
    assert not adapted.is_of(policy)
    assert not plain.is_of(reduced(seed=1))


def written(engine: HuggingFaceEngine, policy: Policy) -> list[list[Completion]]:
    engine.load(policy, 0)
    return engine.generate(PROMPTS, Sampling(1.0, 12), 4, torch.Generator().manual_seed(0))


def gap(policy: Policy, groups: list[list[Completion]]) -> float:
    """Mean distance of the recorded log-probabilities from those of a training pass."""
    batch = collate(continued(PROMPTS, groups), 0, policy.device)
    sampled = batch.origin == int(Origin.SAMPLED)
    with torch.no_grad():
        again = Forward(policy, batch, sampled).logprobs[sampled]
    return float((again - torch.cat([c.logprobs for group in groups for c in group])).abs().mean())


def disturb(policy: Policy) -> None:
    """Give what is trained weights that show."""
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))


def test_the_engine_records_nearly_the_logprobs_of_the_policy() -> None:
    policy = reduced()
    assert 0 < gap(policy, written(HuggingFaceEngine(), policy)) < 10 * VISIBLE


@pytest.mark.parametrize("case", adapters(), ids=str)
def test_it_follows_every_adapter_that_is_attached_trained_and_merged(case: Case) -> None:
    policy, engine = reduced(), HuggingFaceEngine()
    written(engine, policy)
    attached = case.construct().attach(policy, 0, {"pretrained": policy.frozen_copy()})
    for _ in range(2):
        disturb(policy)
        assert gap(policy, written(engine, policy)) < 10 * VISIBLE
    attached.merge()
    assert gap(policy, written(engine, policy)) < 10 * VISIBLE


def test_it_does_so_under_one_adapter_after_the_other() -> None:
    policy, engine = reduced(), HuggingFaceEngine()
    for alpha in (2.0, 64.0):
        attached = Lora(rank=2, alpha=alpha).attach(policy, 0, {})
        disturb(policy)
        assert gap(policy, written(engine, policy)) < 10 * VISIBLE
        attached.merge()


def test_capped_logits_have_a_twin() -> None:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": CONTEXT}
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, eos_token_id=0, final_logit_softcapping=2.0))
    choose_attention(model)
    policy = Policy(model, Text(bpe_tokenizer()), torch.bfloat16)
    assert gap(policy, written(HuggingFaceEngine(), policy)) < 10 * VISIBLE
