"""What the engine writes is what the model's own ``generate`` writes, for several architectures."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GemmaConfig, GemmaForCausalLM

from fixtures.folders import CONTEXT, VOCABULARY, bpe_tokenizer, random_model
from fixtures.sequences import continued
from posttrain.batching import collate
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Origin
from tolerances import FLOAT32_MODEL

NEW = 12
PROMPTS = [torch.tensor(p) for p in ([5], [3, 9, 4, 7, 2, 8, 40, 41], [6, 6, 8], [99, 98, 97], [2, 3, 4, 5, 6])]


def gemma(sliding: bool) -> nn.Module:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": CONTEXT}
    sizes |= {"eos_token_id": 0, "bos_token_id": None, "pad_token_id": None, "initializer_range": 0.3}
    torch.manual_seed(0)
    if not sliding:
        return GemmaForCausalLM(GemmaConfig(**sizes))
    layers = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**sizes, sliding_window=6, layer_types=layers))


@pytest.fixture(params=["qwen2", "llama", "gpt2", "gemma", "gemma3"])
def policies(request: pytest.FixtureRequest) -> Iterator[Policy]:
    """A float32 policy; whether prompts are shared in attention depends on the kernels, and both ways are taken."""
    name = request.param
    model = gemma(name == "gemma3") if "gemma" in name else random_model(name, initializer_range=0.3)
    return Policy(model, Text(bpe_tokenizer()))


def both_ways(policy: Policy) -> Iterator[Policy]:
    yield policy
    choose_attention(policy.model)
    yield policy


def sure(policy: Policy, text: Tensor, begin: int) -> int:
    """How many tokens from ``begin`` on were chosen by more than a hair."""
    with torch.no_grad():
        best = policy.model(input_ids=text[None], use_cache=False).logits[0, begin - 1 : -1].topk(2).values
    hairs = (best[:, 0] - best[:, 1] < FLOAT32_MODEL).nonzero()
    return int(hairs[0]) if len(hairs) else len(text) - begin


def test_greedy_is_what_generate_writes(policies: Policy) -> None:
    for policy in both_ways(policies):
        engine = HuggingFaceEngine()
        engine.load(policy, 0)
        for prompt, group in zip(PROMPTS, engine.generate(PROMPTS, Sampling(0, NEW), 2, torch.Generator())):
            asked = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": 0, "pad_token_id": 0}
            theirs = policy.model.generate(prompt[None], attention_mask=torch.ones(1, len(prompt)), **asked)[0]
            count = sure(policy, theirs, len(prompt))
            for completion in group:
                assert completion.tokens[:count].tolist() == theirs[len(prompt) :][:count].tolist()


def test_recorded_logprobs_are_those_of_a_training_pass(policies: Policy) -> None:
    for policy in both_ways(policies):
        engine = HuggingFaceEngine()
        engine.load(policy, 0)
        groups = engine.generate(PROMPTS, Sampling(1.0, NEW), 4, torch.Generator().manual_seed(0))
        batch = collate(continued(PROMPTS, groups), 0, policy.device)
        sampled = batch.origin == int(Origin.SAMPLED)
        with torch.no_grad():
            again = Forward(policy, batch, sampled).logprobs[sampled]
        recorded = torch.cat([c.logprobs for group in groups for c in group])
        torch.testing.assert_close(again, recorded, rtol=0, atol=FLOAT32_MODEL)
