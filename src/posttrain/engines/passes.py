"""What a model is asked for while text is written: prompts once, then a token per row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from posttrain.engines.shared_prompts import SharedPrompts
from posttrain.policy import Policy


def read_prompts(policy: Policy, prompts: list[Tensor]) -> tuple[Tensor, Any, Tensor]:
    """Run the prompts once, padded on the left: Float["p v"] next-token logits, the cache, Int["p l"] mask."""
    from transformers import DynamicCache

    longest = max(len(p) for p in prompts)
    tokens = torch.full((len(prompts), longest), policy.text.end, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    tokens, mask = tokens.to(policy.device), mask.to(policy.device)
    cache = DynamicCache(config=policy.model.config)
    positions, last = (mask.cumsum(1) - 1).clamp(min=0), torch.zeros_like(mask, dtype=torch.bool)
    last[:, -1] = True
    with policy.reading(last):
        return read(policy, tokens, mask, positions, cache), cache, mask


def read(policy: Policy, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
    """Float["r v"]: logits of the token after the last column.

    Args:
        policy: reads.
        tokens: Int["r l"], those that the cache does not hold yet.
        mask: Int["r t"], 0 at padding, for all tokens with those of the cache.
        positions: Int["r l"].
        cache: is written to.
    """
    states = policy.model.base_model(
        input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return policy.head(states[:, -1])


def read_sharing(policy: Policy, token: Tensor, position: Tensor, cache: Any, shared: SharedPrompts) -> Tensor:
    """The same of the newest token per row, Int["r"] at Int["r"], where rows share their prompts.

    Raises:
        RuntimeError: the model does not pass the prompts on to its attention.
    """
    asked = {"attention_mask": None, "position_ids": position[:, None], "past_key_values": cache, "use_cache": True}
    states = policy.model.base_model(input_ids=token[:, None], readers=shared.layers, **asked).last_hidden_state
    shared.check_all_read()
    return policy.head(states[:, -1])
