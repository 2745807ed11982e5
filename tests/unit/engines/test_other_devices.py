"""A step of decoding on a device without numbers, on which to mix devices or to ask for a number is an error."""

import copy

import pytest
import torch
from transformers import DynamicCache

from fixtures.folders import bpe_tokenizer, random_model
from posttrain.attention import WRITING, register
from posttrain.engines.cursors import DeviceCursor
from posttrain.engines.draws import sample
from posttrain.engines.passes import read_sharing
from posttrain.engines.shared_prompts import SharedPrompts
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.text import Text

ELSEWHERE = torch.device("meta")
PROMPTS, ROWS_PER_PROMPT, NEW = 3, 2, 40


def elsewhere(name: str) -> Policy:
    policy = Policy(random_model(name), Text(bpe_tokenizer()))
    register()
    policy.model.set_attn_implementation(WRITING)
    policy.model.to(ELSEWHERE)
    return policy


def shared_elsewhere(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> tuple[DynamicCache, SharedPrompts]:
    """As of prompts with padding, which is looked at once, before the first step."""
    cache = DynamicCache(config=policy.model.config)
    config = policy.model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    for layer in range(config.num_hidden_layers):
        known = torch.empty(PROMPTS, heads, 5, config.hidden_size // config.num_attention_heads, device=ELSEWHERE)
        cache.update(known, known, layer)
    mask = torch.ones(PROMPTS, 5, dtype=torch.long)
    mask[0, 0] = 0
    made = SharedPrompts(cache, mask, ROWS_PER_PROMPT, NEW, DeviceCursor(NEW, ELSEWHERE))
    for layer in made.layers:
        monkeypatch.setattr(layer, "_padding", (mask == 0).to(ELSEWHERE))
    return cache, made


@pytest.mark.parametrize("name", ["qwen2", "llama", "gpt2"])
def test_a_step_stays_on_its_device_and_asks_it_for_no_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = elsewhere(name)
    cache, shared = shared_elsewhere(policy, monkeypatch)
    rows = PROMPTS * ROWS_PER_PROMPT
    token, position = (torch.ones(rows, dtype=torch.long, device=ELSEWHERE) for _ in range(2))
    for _ in range(2):
        shared.make_room()
        with torch.no_grad():
            logits = read_sharing(policy, token, position, cache, shared)
        shared.advance()
        token, logprobs = sample(logits, 1.0, torch.rand(rows, device=ELSEWHERE))
        assert (token.device, logprobs.device) == (ELSEWHERE, ELSEWHERE)


def test_whether_prompts_can_be_shared_is_asked_on_the_model_s_device() -> None:
    model = copy.deepcopy(random_model("qwen2")).to(ELSEWHERE)
    model.set_attn_implementation("sdpa")
    with pytest.raises(RuntimeError, match="meta tensors"):  # a number was asked for, after devices had met
        choose_attention(model)
