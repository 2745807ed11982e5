"""The twin of a policy: its weights as they are now, in the type of its products."""

import torch

from fixtures.models import tiny_policy, weights
from posttrain.adapters.lora import Lora
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.engines.twins import twin
from posttrain.policy import Policy
from posttrain.types import Sampling
from tolerances import VISIBLE


def reduced() -> Policy:
    policy = tiny_policy()
    policy.model.float()
    return Policy(policy.model, policy.text, torch.bfloat16)


def test_a_policy_that_computes_in_the_type_of_its_weights_is_its_own_twin(policy: Policy) -> None:
    assert twin(policy, None) is policy


def test_weights_are_cast_and_frequencies_are_not() -> None:
    policy = reduced()
    made = twin(policy, None)
    assert {p.dtype for p in made.model.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in made.model.buffers()} == {torch.float32}
    assert {p.dtype for p in policy.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in made.model.parameters())
    assert made.model.get_output_embeddings().weight is made.model.get_input_embeddings().weight


def test_it_is_filled_anew_with_the_weights_of_now() -> None:
    policy = reduced()
    first = twin(policy, None)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)
    again = twin(policy, first)
    assert again is first
    for name, value in weights(policy).items():
        assert torch.equal(weights(again)[name], value.bfloat16())


def test_another_shape_or_an_adapter_makes_another_twin() -> None:
    policy = reduced()
    first = twin(policy, None)
    Lora().attach(policy, 0, {})
    second = twin(policy, first)
    assert second is not first
    assert twin(policy, second) is not first


def test_the_engine_records_nearly_the_logprobs_of_the_policy() -> None:
    policy = reduced()
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    prompt = policy.text.encode("12=")
    ((completion,),) = engine.generate([prompt], Sampling(1.0, 20), 1, torch.Generator().manual_seed(0))
    text = torch.cat([prompt, completion.tokens])
    with torch.no_grad():
        exact = torch.log_softmax(policy.model(input_ids=text[None]).logits[0], -1)
    known = exact[len(prompt) - 1 : -1].gather(1, completion.tokens[:, None])[:, 0]
    assert 0 < float((completion.logprobs - known).abs().mean()) < 10 * VISIBLE
