"""A copy of a policy whose weights have the type of its matrix products, for passes that need no gradient.

Autocast turns activations into that type and back at every product, which in a step of decoding costs more than the
products themselves. In a twin everything between the norms stays in the type, so that its log-probabilities differ a
little more from those of a training pass: by 0.03 nats per token instead of 0.006 in a tiny Qwen2. On a processor the
weights of its linear layers are held twice, in rows and packed: four bytes for each beside the policy's own four.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from posttrain.engines.packed import Joint, PackedLinear, families
from posttrain.policy import Policy


class Twin:
    """The twin of a policy.

    Args:
        policy: if it computes in the type of its weights, or weights of its model are computed from others, as under
            sparse deltas, it is its own twin.
    """

    def __init__(self, policy: Policy) -> None:
        self._source = policy
        self._made_of = _made_of(policy.model)
        self._filled: list[tuple[Tensor, Tensor]] = []
        self._packed: list[Joint] = []
        self.policy = policy
        if policy.autocast is not None and not any(map(is_parametrized, policy.model.modules())):
            self.policy = policy.around(self._cast_copy(policy.model, policy.autocast))

    def is_of(self, policy: Policy) -> bool:
        """Whether to fill it makes it the twin of this policy.

        Not if an adapter was attached or taken off since, which changes modules, their parameters or their hooks, and
        what modules know beside their weights.
        """
        now = _made_of(policy.model)
        same = len(now) == len(self._made_of) and all(a is b for a, b in zip(now, self._made_of))
        return same and policy.autocast == self._source.autocast

    def fill(self) -> None:
        """Take the weights of now."""
        with torch.no_grad():
            for ours, theirs in self._filled:
                ours.copy_(theirs)
        for packed in self._packed:
            packed.pack()

    def _cast_copy(self, model: Any, dtype: torch.dtype) -> Any:
        # What stands in the copy's memory beforehand is never copied in its own type. Of the rest only parameters are
        # cast: the frequencies of rotary positions are a buffer, and would lose their meaning.
        joints = {tuple(family): Joint(family, dtype) for family in families(model, dtype)}
        packed = {m: PackedLinear(joint, place) for family, joint in joints.items() for place, m in enumerate(family)}
        pairs = [(ours, theirs) for m, one in packed.items() for ours, theirs in zip(one.parameters(), m.parameters())]
        known = {theirs for _, theirs in pairs}
        rest = [p for p in model.parameters() if p not in known]
        pairs += [(nn.Parameter(p.detach().to(dtype), requires_grad=False), p) for p in rest]
        cast = {theirs: ours for ours, theirs in pairs}
        copied = copy.deepcopy(model, {id(one): other for one, other in (*cast.items(), *packed.items())})
        self._filled = [*pairs, *zip(copied.buffers(), model.buffers(), strict=True)]
        self._packed = list(joints.values())
        return copied


def _made_of(model: nn.Module) -> tuple[object, ...]:
    """What a copy has to have as well: modules, parameters, buffers, and what is called before and after modules."""
    modules = tuple(model.modules())
    hooks = (hook for m in modules for hook in (*m._forward_pre_hooks.values(), *m._forward_hooks.values()))
    return (*modules, *model.parameters(), *model.buffers(), *hooks)
