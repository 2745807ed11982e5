"""The last layer's feed-forward, at no tokens but those whose states are read.

What a layer before it computes of a token, others attend to. What the feed-forward of the last layer makes of a token
is for the head alone, and nobody asks the head what follows the tokens of a prompt: of 26 + 19 tokens 19 are enough.
``benchmarks/decisions.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

FEED_FORWARD = "mlp"
"""What Llama and its relatives, GPT-2 and Phi call it."""
TOKENS = 64
"""As many tokens as are read are rounded up to a multiple of this, for the reason of ``prefixes.TOKENS_OF_A_ROW``."""
WORTH_LEAVING = 0.1
"""Tokens are left out if they are at least this share of a pass."""


def layers_of(model: Any) -> nn.ModuleList | None:
    """The layers of a Hugging Face model between embeddings and final norm, if it keeps them in one list."""
    count = int(model.config.num_hidden_layers)
    children = model.base_model.children()
    found = [child for child in children if isinstance(child, nn.ModuleList) and len(child) == count]
    return found[0] if len(found) == 1 else None


def feed_forward_of(model: Any) -> nn.Module | None:
    """The feed-forward of a model's last layer, if it has one."""
    layers = layers_of(model)
    return None if layers is None else layers[-1]._modules.get(FEED_FORWARD)


def at_tokens_of(model: Any) -> AtTokens | None:
    """How to leave tokens out of a model's last feed-forward, or ``None`` if the states of others would be others then.

    That is measured once, with the weights as they are: it would be wrong for a layer that mixes tokens behind its
    feed-forward, for one whose feed-forward is another's as well, and for one that is told more than states.
    """
    module = feed_forward_of(model)
    if module is None:
        return None
    tokens = torch.arange(6, device=next(model.parameters()).device)[None] % int(model.config.vocab_size)
    read = torch.tensor([[False, False, True, False, False, True]], device=tokens.device)
    with torch.no_grad():
        try:
            whole = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
            with AtTokens(module, multiple=1)(read):
                found = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError):
            return None
    alike = torch.allclose(found[read], whole[read], rtol=1e-3, atol=1e-3)
    return AtTokens(module) if alike else None


class AtTokens:
    """Stands in for the forward method of a feed-forward: Float["b l d"] -> Float["b l d"], 0 at all other tokens.

    It lives as long as its policy, since compiled layers are compiled again for every new one.

    Args:
        module: makes the same of a token, whatever stands around it.
        multiple: of which the number of tokens shall be one.
    """

    def __init__(self, module: nn.Module, multiple: int = TOKENS) -> None:
        self.module = module
        self._multiple = multiple
        self._read: Tensor | None = None
        self._chosen: Tensor | None = None

    @contextmanager
    def __call__(self, read: Tensor) -> Iterator[None]:
        """Inside, the module is asked about no other tokens than these, Bool["b l"], in the shape of its input.

        Raises:
            RuntimeError: inside another of these; inside, for an input of another shape.
        """
        if isinstance(getattr(self.module.__dict__.get("forward"), "__self__", None), AtTokens):
            raise RuntimeError("a pass of a model was begun inside another one, which reads other tokens")
        flat = read.flatten()
        chosen = _rounded(flat, self._multiple)
        if len(chosen) > (1 - WORTH_LEAVING) * len(flat) or "forward" in self.module.__dict__:
            yield
            return
        self._read, self._chosen = flat, chosen
        self.module.__dict__["forward"] = self._forward
        try:
            yield
        finally:
            del self.module.__dict__["forward"]
            self._read = self._chosen = None

    def _forward(self, states: Tensor) -> Tensor:
        flat = states.flatten(0, -2)
        # Compared with a tensor: a number would be another one for every batch, and compiled layers compiled anew.
        if self._chosen is None or self._read is None or len(flat) != len(self._read):
            raise RuntimeError("the last feed-forward is given another number of tokens than pass the model")
        made: Tensor = type(self.module).forward(self.module, flat.index_select(0, self._chosen)[None])[0]
        return made.new_zeros(len(flat), made.shape[1]).index_copy(0, self._chosen, made).view(states.shape)


def _rounded(read: Tensor, multiple: int) -> Tensor:
    """Int["n"]: the places that are read, and as many others as there are to make n a multiple."""
    places, others = read.nonzero()[:, 0], (~read).nonzero()[:, 0]
    return torch.cat([places, others[: -len(places) % multiple]])
