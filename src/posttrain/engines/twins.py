"""A copy of a policy whose weights have the type of its matrix products, for passes that need no gradient.

Autocast turns activations into that type and back at every product, which in a step of decoding costs more than the
products themselves. In a twin everything between the norms stays in the type.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from posttrain.policy import Policy


def twin(policy: Policy, earlier: Policy | None) -> Policy:
    """The policy in the type of its products, with its weights as they are now.

    Args:
        policy: if it computes in the type of its weights, it is its own twin.
        earlier: what this function returned before; it is filled anew if it still has the same shapes.
    """
    if policy.autocast is None:
        return policy
    if earlier is None or not _alike(earlier.model, policy.model):
        earlier = _cast_copy(policy)
    with torch.no_grad():
        for ours, theirs in zip(earlier.model.parameters(), policy.model.parameters(), strict=True):
            ours.copy_(theirs)
        for ours, theirs in zip(earlier.model.buffers(), policy.model.buffers(), strict=True):
            ours.copy_(theirs)
    return earlier


def _cast_copy(policy: Policy) -> Policy:
    model = copy.deepcopy(policy.model)
    # Parameters only: the frequencies of rotary positions are a buffer, and would lose their meaning.
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.data = parameter.data.to(policy.autocast)
    return Policy(model, policy.text, policy.autocast)


def _alike(earlier: nn.Module, model: nn.Module) -> bool:
    """Whether to fill the earlier one makes it the twin of this model."""
    if any(is_parametrized(m) or m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        return False  # such adapters may hold what is no parameter
    first, second = ([(name, p.shape, p.device) for name, p in m.named_parameters()] for m in (earlier, model))
    return type(earlier) is type(model) and first == second
