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


def reads_each_token_alone(model: Any) -> bool:
    """Whether the last layer has a feed-forward that makes the same of a token, whatever stands around it.

    Measured once: if routing, or anything else, let it depend on other tokens, those could not be left out.
    """
    module = feed_forward_of(model)
    if module is None:
        return False
    width, parameter = model.get_input_embeddings().embedding_dim, next(model.parameters())
    states = torch.linspace(-1, 1, 4 * width, device=parameter.device).to(parameter.dtype).view(1, 4, width)
    chosen = torch.tensor([2, 0], device=parameter.device)
    with torch.no_grad():
        whole, some = module(states), module(states[:, chosen])
    alike = isinstance(whole, Tensor) and whole.shape == states.shape
    return alike and bool(torch.allclose(whole[:, chosen], some, rtol=1e-3, atol=1e-3))


class AtTokens:
    """Stands in for the forward method of a feed-forward: Float["b l d"] -> Float["b l d"], 0 at all other tokens.

    It lives as long as its policy, since compiled layers are compiled again for every new one.

    Args:
        module: makes the same of a token, whatever stands around it.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._chosen: Tensor | None = None

    @contextmanager
    def __call__(self, read: Tensor) -> Iterator[None]:
        """Inside, the module is asked about no other tokens than these, Bool["b l"], in the shape of its input.

        Raises:
            RuntimeError: inside another of these.
        """
        if self._chosen is not None:
            raise RuntimeError("a pass of a model was begun inside another one, which reads other tokens")
        chosen = _rounded(read.flatten())
        if len(chosen) > (1 - WORTH_LEAVING) * read.numel() or "forward" in self.module.__dict__:
            yield
            return
        self._chosen = chosen
        self.module.__dict__["forward"] = self._forward
        try:
            yield
        finally:
            del self.module.__dict__["forward"]
            self._chosen = None

    def _forward(self, states: Tensor) -> Tensor:
        assert self._chosen is not None
        flat = states.flatten(0, -2)
        made: Tensor = type(self.module).forward(self.module, flat.index_select(0, self._chosen)[None])[0]
        return made.new_zeros(len(flat), made.shape[1]).index_copy(0, self._chosen, made).view(states.shape)


def _rounded(read: Tensor) -> Tensor:
    """Int["n"]: the places that are read, and as many others as there are to make n a multiple."""
    places, others = read.nonzero()[:, 0], (~read).nonzero()[:, 0]
    return torch.cat([places, others[: -len(places) % TOKENS]])
