"""The policy, and :class:`Forward`, the lazy view of one pass of it over a batch.

The one shift of the library is here: the hidden state at position t - 1 predicts token t, and everything that
:class:`Forward` hands out is aligned to the token it speaks about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posttrain.errors import UserError
from posttrain.text import Text
from posttrain.types import Origin, TokenBatch

LOGITS_AT_ONCE = 1 << 25
"""Numbers of [positions x vocabulary] held at a time; above it the head runs in chunks, in the backward pass again."""


class Policy:
    """A causal language model with its tokenizer. Its weights are float32, whatever the files held.

    Args:
        model: a Hugging Face causal LM.
        text: its tokenizer.
        autocast: the dtype of matrix products, or ``None`` to compute in the weights' own type.

    Raises:
        UserError: the model states no longest sequence, its logits are not finite, or its output head is not the plain
            projection (with optional scaling and soft-capping) that chunked log-probabilities rest on.
    """

    def __init__(self, model: Any, text: Text, autocast: torch.dtype | None = None) -> None:
        # Never in training mode: dropout would make the policy that is trained another one than the one that sampled.
        self.model = model.eval()
        self.text = text
        self.autocast = autocast
        if getattr(model.config, "max_position_embeddings", None) is None:  # Bloom, MPT
            raise UserError(f"{type(model).__name__} is not supported: its config states no max_position_embeddings")
        self._check_head()

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

    def trainable(self) -> list[nn.Parameter]:
        """The parameters that the optimiser moves."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def frozen_copy(self) -> Policy:
        """A snapshot that no update reaches."""
        model = copy.deepcopy(self.model)
        model.requires_grad_(False)
        return Policy(model, self.text, self.autocast)

    def head(self, hidden: Tensor) -> Tensor:
        """Float["n d"] final hidden states -> Float["n v"] logits in float32 (or the weights' type if wider)."""
        config = self.model.config
        logits: Tensor = self.model.get_output_embeddings()(hidden)
        logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
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


class Forward:
    """A lazy view of one pass of a policy over a batch; each quantity is computed when it is first read.

    Args:
        policy: the policy.
        batch: the right-padded batch.
        positions: Bool["b l"], the tokens whose prediction anybody will read; elsewhere every quantity is 0.
        frozen: the frozen policies that objectives may name.

    Whether gradients flow is decided when the view is made, not when a quantity is first touched: a cached quantity
    first read inside somebody's ``no_grad`` would silently lose another term's gradient.
    """

    def __init__(
        self, policy: Policy, batch: TokenBatch, positions: Tensor, frozen: Mapping[str, Policy] | None = None
    ) -> None:
        if bool(positions[:, 0].any()):
            raise ValueError("position 0 is predicted by nothing and can carry no weight")
        self.policy = policy
        self.batch = batch
        self.positions = positions
        self.frozen = frozen or {}
        self._gradients = torch.is_grad_enabled()

    @cached_property
    def logprobs(self) -> Tensor:
        """Float["b l"]: log-probability of each token, sampled ones at their temperature; 0 outside ``positions``."""
        return self.at_logits(_token_logprobs)

    @cached_property
    def entropy(self) -> Tensor:
        """Float["b l"]: entropy in nats of each token's predictive distribution; 0 outside ``positions``."""
        return self.at_logits(_entropy)

    def at_logits(self, quantity: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A full-vocabulary quantity, evaluated in chunks so that the whole of the logits need not exist.

        Args:
            quantity: (Float["n v"] tempered logits, Int["n"] tokens) -> Float["n"].

        Returns:
            Float["b l"], 0 outside ``positions``.
        """
        return self._scatter(lambda rows: quantity(self._logits(rows), self._tokens[rows]))

    def against(self, name: str, quantity: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Like :meth:`at_logits`, for a quantity of two distributions.

        Args:
            name: a frozen policy.
            quantity: (Float["n v"] tempered logits, Float["n v"] the frozen policy's) -> Float["n"].
        """
        other = self._under(name)
        return self._scatter(lambda rows: quantity(self._logits(rows), other._logits(rows).detach()))

    def _under(self, name: str) -> Forward:
        if name not in self._others:
            with torch.no_grad():
                self._others[name] = Forward(self.frozen[name], self.batch, self.positions)
        return self._others[name]

    @cached_property
    def _others(self) -> dict[str, Forward]:
        return {}

    @cached_property
    def _hidden(self) -> Tensor:
        """Float["n d"]: the state that predicts each of the ``positions`` — the one and only shift."""
        batch, policy = self.batch, self.policy
        # Rows are padded on the right, so causal attention alone keeps real tokens from seeing padding; without an
        # explicit mask the attention kernels take their fast causal path.
        with torch.set_grad_enabled(self._gradients), autocast(policy):
            states = policy.model.base_model(input_ids=batch.tokens, use_cache=False).last_hidden_state
        predicting = torch.zeros_like(self.positions)
        predicting[:, :-1] = self.positions[:, 1:]
        return states[predicting]  # type: ignore[no-any-return]

    @cached_property
    def _tokens(self) -> Tensor:
        return self.batch.tokens[self.positions]

    @cached_property
    def _temperature(self) -> Tensor:
        """Float["n"]: the row's for sampled tokens; what was given was drawn at no temperature and keeps 1."""
        sampled = self.batch.origin == int(Origin.SAMPLED)
        return torch.where(sampled, self.batch.temperature[:, None], 1.0)[self.positions]

    def _logits(self, rows: slice) -> Tensor:
        if rows == slice(None):
            return self._all_logits
        return self._head(rows)

    @cached_property
    def _all_logits(self) -> Tensor:
        with torch.set_grad_enabled(self._gradients):
            return self._head(slice(None))

    def _head(self, rows: slice) -> Tensor:
        with autocast(self.policy):
            logits = self.policy.head(self._hidden[rows])
        return logits / self._temperature[rows, None].to(logits.dtype)

    def _scatter(self, chunk: Callable[[slice], Tensor]) -> Tensor:
        count, vocabulary = len(self._tokens), int(self.policy.model.config.vocab_size)
        with torch.set_grad_enabled(self._gradients):
            self._hidden  # noqa: B018 - computed here once, not inside a recomputed chunk
            if count * vocabulary <= LOGITS_AT_ONCE:
                values = chunk(slice(None))
            else:
                size = max(1, LOGITS_AT_ONCE // vocabulary)
                pieces = [slice(at, min(at + size, count)) for at in range(0, count, size)]
                values = torch.cat([checkpoint(chunk, piece, use_reentrant=False) for piece in pieces])
            out = torch.zeros(self.positions.shape, dtype=values.dtype, device=values.device)
            return out.masked_scatter(self.positions, values)


def autocast(policy: Policy) -> torch.autocast:
    """The precision of the policy's matrix products."""
    enabled = policy.autocast is not None
    return torch.autocast(policy.device.type, dtype=policy.autocast or torch.bfloat16, enabled=enabled)


def _token_logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    return torch.log_softmax(logits, -1).gather(-1, tokens[:, None])[:, 0]


def _entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    logprobs = torch.log_softmax(logits, -1)
    return -(logprobs.exp() * logprobs).sum(-1)
