"""The layers of a policy as things that can be cut off, entered in the middle and pushed; no weight is copied.

Views share the modules of the policy that they are made of, so they always have its newest weights, and what is trained
through one of them is trained in all. The model itself is left as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from posttrain.errors import UserError
from posttrain.last_layer import layers_of
from posttrain.policy import FINAL_NORMS, Policy


def blocks(policy: Policy) -> nn.ModuleList:
    """The layers between embeddings and final norm.

    Raises:
        UserError: the model does not keep them in one list.
    """
    found = layers_of(policy.model)
    if found is None:
        name = type(policy.model).__name__
        raise UserError(f"the layers of {name} are not in one list; known are Llama and its relatives, and GPT-2")
    return found


def up_to(policy: Policy, depth: int) -> Policy:
    """The policy as if its model ended after ``depth`` layers, with the same norm and head.

    Args:
        policy: the whole one.
        depth: 1 <= depth <= number of layers.

    Raises:
        UserError: there are not as many layers.
    """
    layers = blocks(policy)
    if not 1 <= depth <= len(layers):
        raise UserError(f"the model has {len(layers)} layers; it cannot end after {depth}, choose 1 to {len(layers)}")
    base = _with_layers(policy, list(layers)[:depth], 0)
    model = _twin(policy.model)
    model._modules[model.base_model_prefix] = base
    model.config = base.config
    return Policy(model, policy.text, policy.autocast)


class Section:
    """Consecutive layers of a policy that read one text, whenever somebody asks for their states.

    Tokens that it was not asked about wait; it reads them all at once when it is asked again, so that nothing is
    approximated.

    Args:
        policy: whose layers.
        first, last: the layers are those with 0-based index ``first`` <= index < ``last``.
    """

    def __init__(self, policy: Policy, first: int, last: int) -> None:
        chosen = list(blocks(policy))[first:last]
        self.last = last
        self._first = first
        self._entry = _Entry(chosen[0])
        self._model = _with_layers(policy, [self._entry, *chosen[1:]], first)
        for name in FINAL_NORMS:  # the states are handed on as they are
            if name in self._model._modules:
                self._model._modules[name] = nn.Identity()
        self._cache: Any = None
        self._waiting: list[Tensor] = []

    def begin(self, cache: Any) -> None:
        """Begin a text, whose keys and values of all layers ``cache`` is going to hold."""
        from transformers import DynamicCache

        # A layer finds its place in a cache by its own index; masks are cut to the length of the first place.
        self._cache = DynamicCache()
        self._cache.layers = [cache.layers[self._first]] * self._first + cache.layers[self._first : self.last]
        self._waiting = []

    def hand(self, states: Tensor) -> None:
        """Float["1 n d"]: what the layer before the section made of the next tokens."""
        self._waiting.append(states)

    def read(self, text: Tensor) -> Tensor:
        """Pass every token that has not been passed.

        Args:
            text: Int["l"], from its beginning.

        Returns:
            Float["1 n d"], the states of those n >= 1 tokens after the section's last layer, not normed.
        """
        self._entry.states = torch.cat(self._waiting, 1) if self._waiting else None
        self._waiting = []
        unread = text[self._cache.get_seq_length() :]
        states: Tensor = self._model(
            input_ids=unread[None], past_key_values=self._cache, use_cache=True
        ).last_hidden_state
        return states


class _Entry(nn.Module):
    """The first layer of a section: it reads the states it was handed, not what the model's embeddings say."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.states: Tensor | None = None

    def forward(self, embedded: Tensor, *others: Any, **named: Any) -> Tensor:
        states = embedded if self.states is None else self.states
        return self.block(states, *others, **named)  # type: ignore[no-any-return]


@contextmanager
def pushed(policy: Policy, shifts: Sequence[Tensor]) -> Iterator[None]:
    """Within it, every layer but the first reads its input plus a shift.

    Args:
        policy: its model is changed inside the block only.
        shifts: Float["d"], one per layer from the second one on.
    """

    def push(shift: Tensor) -> Any:
        return lambda module, given: (given[0] + shift, *given[1:])

    later = list(blocks(policy))[1:]
    hooks = [block.register_forward_pre_hook(push(shift)) for block, shift in zip(later, shifts, strict=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _with_layers(policy: Policy, layers: list[nn.Module], first: int) -> Any:
    """The model without its head, and with these layers, which have the types of those from ``first`` on."""
    base = policy.model.base_model
    with torch.no_grad():
        # transformers marks a model when it puts recording hooks on its layers. A view that were passed before the
        # whole model would have them put on the shared layers twice, or on some of them only.
        base(input_ids=torch.zeros(1, 1, dtype=torch.long, device=policy.device), output_hidden_states=True)
    mine = blocks(policy)
    view = _twin(base)
    view._modules = {name: nn.ModuleList(layers) if child is mine else child for name, child in base._modules.items()}
    view.config = copy.copy(base.config)
    view.config.num_hidden_layers = len(layers)
    if (types := getattr(base.config, "layer_types", None)) is not None:
        view.config.layer_types = types[first : first + len(layers)]
    return view


def _twin(module: Any) -> Any:
    """A module of its own with the same children, parameters and buffers."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin
