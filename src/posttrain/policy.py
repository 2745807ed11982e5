"""The policy: a causal language model, its tokenizer, and the few things that differ between architectures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from posttrain.errors import UserError
from posttrain.last_layer import AtTokens, at_tokens_of, feed_forward_of
from posttrain.text import Text

FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
"""What Llama and its relatives, GPT-2, OPT and Phi call the norm before the head."""


class Policy:
    """A causal language model with its tokenizer. Its weights are float32, whatever the files held.

    Args:
        model: a Hugging Face causal LM.
        text: its tokenizer.
        autocast: the dtype of matrix products, or ``None`` to compute in the weights' own type.

    ``training_pass`` is entered around every pass of the model that has a gradient.
    ``heads`` are modules on the last hidden states that a stage trains beside the model, such as a critic's.
    ``tokens_passed`` counts the tokens of every pass, so that a part which makes passes of its own can be charged;
    ``tokens_differentiated`` counts those of passes that have a gradient.

    Raises:
        UserError: the model states no longest sequence, its logits are not finite, or its output head is not the plain
            projection (with optional scaling and soft-capping) that chunked log-probabilities rest on.
    """

    def __init__(self, model: Any, text: Text, autocast: torch.dtype | None = None) -> None:
        # Never in training mode: dropout would make the policy that is trained another one than the one that sampled.
        self.model = model.eval()
        self.text = text
        self.autocast = autocast
        self.training_pass: Callable[[], AbstractContextManager[None]] = nullcontext
        self.heads: dict[str, nn.Module] = {}
        self.tokens_passed = 0
        self.tokens_differentiated = 0
        if getattr(model.config, "max_position_embeddings", None) is None:  # Bloom, MPT
            raise UserError(f"{type(model).__name__} is not supported: its config states no max_position_embeddings")
        self._check_head()
        self._at_tokens = at_tokens_of(model)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def context(self) -> int:
        """The longest sequence the model was built for, in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def parameters_count(self) -> int:
        """How many numbers the model holds, tied ones once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def width(self) -> int:
        """How many numbers a hidden state has."""
        return int(self.model.get_input_embeddings().embedding_dim)

    def trainable(self) -> list[nn.Parameter]:
        """The parameters of the model that the optimiser moves; heads beside it are not among them."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def named_trainable(self) -> dict[str, nn.Parameter]:
        """The same by their names within the model."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def embed(self, tokens: Tensor) -> Tensor:
        """Int["b l"] -> Float["b l d"], what the first layer reads."""
        return self.model.get_input_embeddings()(tokens)  # type: ignore[no-any-return]

    def final_norm(self, states: Tensor) -> Tensor:
        """The norm between the last layer and the head, applied to the states of any layer.

        Raises:
            UserError: the model's final norm is not known.
        """
        children = dict(self.model.base_model.named_children())
        known = [children[name] for name in FINAL_NORMS if name in children]
        if not known:
            raise UserError(f"the final norm of {type(self.model).__name__} is not among {', '.join(FINAL_NORMS)}")
        return known[0](states)  # type: ignore[no-any-return]

    def around(self, model: Any) -> Policy:
        """The same policy, without heads, around another state of its model; the head is known to be right."""
        other = copy.copy(self)
        other.model, other.heads, other.training_pass = model, {}, nullcontext
        module, known = feed_forward_of(model), self._at_tokens
        measured = module is not None and known is not None and known.module is feed_forward_of(self.model)
        other._at_tokens = AtTokens(module) if module is not None and measured else None
        return other

    def reading(self, read: Tensor) -> AbstractContextManager[None]:
        """Inside, passes may leave out what is for the last states of other tokens alone.

        Args:
            read: Bool["b l"], the tokens whose last states are right, in the shape in which they pass the model.
        """
        known = self._at_tokens
        # Another layer may have become the last one since.
        return nullcontext() if known is None or known.module is not feed_forward_of(self.model) else known(read)

    def frozen_copy(self) -> Policy:
        """A snapshot that no update reaches."""
        model = copy.deepcopy(self.model)
        model.requires_grad_(False)
        return Policy(model, self.text, self.autocast)

    def head(self, hidden: Tensor) -> Tensor:
        """Float["n d"] final hidden states -> Float["n v"] logits in float32 (or the weights' type if wider)."""
        return self.finished(self.project(hidden))

    def project(self, hidden: Tensor) -> Tensor:
        """Float["n d"] final hidden states -> Float["n v"] in the type of products; :meth:`finished` makes logits."""
        return self.model.get_output_embeddings()(hidden)  # type: ignore[no-any-return]

    def finished(self, projected: Tensor) -> Tensor:
        """Float["n v"] -> Float["n v"] logits in float32 (or wider), scaled and capped as the model does it."""
        config = self.model.config
        logits = projected.float() if projected.dtype in (torch.bfloat16, torch.float16) else projected
        if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite
            logits = logits / divisor
        if (factor := getattr(config, "logit_scale", None)) is not None:  # Cohere
            logits = logits * factor
        if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma
            logits = torch.tanh(logits / cap) * cap
        return logits

    def _check_head(self) -> None:
        """Compare the head with the model's own logits once, so that an unknown architecture is loud."""
        tokens = torch.arange(4, device=self.device)[None] % int(self.model.config.vocab_size)
        with torch.no_grad():
            whole = self.model(input_ids=tokens, use_cache=False).logits
            ours = self.head(self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state)
        if not bool(torch.isfinite(whole).all()):
            name = type(self.model).__name__
            raise UserError(f"this {name} computes logits that are not finite: its weights are lost")
        if not torch.allclose(whole.to(ours.dtype), ours, rtol=1e-3, atol=1e-3):
            raise UserError(
                f"{type(self.model).__name__} computes its logits in a way that is not supported; "
                "known are a plain output head, logits_scaling, logit_scale and final_logit_softcapping"
            )


def autocast(policy: Policy) -> torch.autocast:
    """The precision of the policy's matrix products."""
    enabled = policy.autocast is not None
    return torch.autocast(policy.device.type, dtype=policy.autocast or torch.bfloat16, enabled=enabled)
