""":class:`Forward`, the lazy view of one pass of a policy over a batch.

The one shift of the library is here: the hidden state at position t - 1 predicts token t, and everything that
:class:`Forward` hands out is aligned to the token it speaks about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from posttrain.errors import UserError
from posttrain.pieces import by_pieces
from posttrain.policy import Policy, autocast
from posttrain.prefixes import Prefixes, can_share, prefixes
from posttrain.projected import entropy, of_both, of_logits, tempered, untempered
from posttrain.token_logprobs import token_logprobs
from posttrain.types import Origin, TokenBatch

LOGITS_HELD = 1 << 25
"""Numbers of [positions x vocabulary], at most, in a pass that holds what its head projects, in the type of products:
64 MiB in bfloat16, 128 in float32. Beyond, the head runs in chunks, and in the backward pass again."""
LOGITS_AT_ONCE = {"cpu": 1 << 23}
"""Numbers in such a chunk."""
LOGITS_AT_ONCE_ELSEWHERE = 1 << 25
POSITIONS_AT_ONCE = 256
"""Positions of a chunk, at least, however large the vocabulary: every chunk adds a gradient of the whole head."""


class Forward:
    """A lazy view of one pass of a policy over a batch; each quantity is computed when it is first read.

    Args:
        policy: the policy.
        batch: the right-padded batch.
        positions: Bool["b l"], the tokens whose prediction anybody will read; elsewhere every quantity is 0.
        frozen: the frozen policies that objectives may name.
        prepared: what was computed of the whole minibatch, by name.
        inputs: Float["b l d"], read by the first layer instead of the tokens' embeddings.
        parameters: weights of the model to use instead of its own, by name; only ``layers`` exist under them.
        keeps_layers: whether ``layers`` are going to be read, by whomever and in whatever order.

    Whether gradients flow is decided when the view is made, not when a quantity is first touched: a cached quantity
    first read inside somebody's ``no_grad`` would silently lose another term's gradient.
    """

    def __init__(
        self,
        policy: Policy,
        batch: TokenBatch,
        positions: Tensor,
        frozen: Mapping[str, Policy] | None = None,
        prepared: Mapping[str, Any] | None = None,
        inputs: Tensor | None = None,
        parameters: Mapping[str, Tensor] | None = None,
        keeps_layers: bool = False,
    ) -> None:
        if bool(positions[:, 0].any()):
            raise ValueError("position 0 is predicted by nothing and can carry no weight")
        self.policy = policy
        self.batch = batch
        self.positions = positions
        self.frozen = frozen or {}
        self.prepared = prepared or {}
        self._inputs = inputs
        self._parameters = parameters
        self._keeps_layers = keeps_layers
        self._ends_early = False
        self._gradients = torch.is_grad_enabled()

    @cached_property
    def logprobs(self) -> Tensor:
        """Float["b l"]: log-probability of each token, sampled ones at their temperature; 0 outside ``positions``."""
        return self.at_logits(token_logprobs)

    @cached_property
    def entropy(self) -> Tensor:
        """Float["b l"]: entropy in nats of each token's predictive distribution; 0 outside ``positions``."""
        return self.at_logits(entropy)

    @cached_property
    def values(self) -> Tensor:
        """Float["b l"]: the head ``value`` on the state in which each token was chosen; 0 outside ``positions``."""
        return self._under_head("value", lambda: self._hidden)

    @cached_property
    def scores(self) -> Tensor:
        """Float["b l"]: the head ``score`` on the state after each token has been read; 0 outside ``positions``.

        A value tells what the text before a token is worth, a score what the text is worth that ends with it.
        """
        return self._under_head("score", lambda: self._last_layer[self.positions[:, : self._last_layer.shape[1]]])

    def _under_head(self, name: str, states: Callable[[], Tensor]) -> Tensor:
        with torch.set_grad_enabled(self._gradients):
            values = self.policy.heads[name](states().float())[:, 0]
            out = torch.zeros(self.positions.shape, dtype=values.dtype, device=values.device)
            return out.masked_scatter(self.positions, values)

    @property
    def logits(self) -> Tensor:
        """Float["n v"]: tempered logits that predict each of the ``positions``, row by row of the batch.

        The one quantity that is no number per token, for what needs the matrix as a whole; all of it is held at once.
        """
        with torch.set_grad_enabled(self._gradients):
            return self._tempered_logits(self._projected, self._temperature)

    @property
    def layers(self) -> tuple[Tensor, ...]:
        """Float["b l d"] per layer, the embeddings first and the last one normed.

        Unlike everything else here, index t is the state after token t has been read: nothing is predicted. An
        objective that reads them says so in its ``needs``.
        """
        return self._every_layer

    def again(self, inputs: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None) -> Forward:
        """Another pass over the same batch, with other inputs or other weights; gradients flow through both.

        Raises:
            UserError: this view ends early, and another pass would be one of the whole model.
        """
        if self._ends_early:
            raise UserError("an objective that makes a pass of its own, such as IntuitiveLikelihood, cannot have exits")
        with torch.set_grad_enabled(self._gradients):
            return Forward(self.policy, self.batch, self.positions, self.frozen, self.prepared, inputs, parameters)

    def at_exit(self, depth: int) -> Forward:
        """The same pass as if the model ended after ``depth`` layers: its norm and head on their states."""
        if not 1 <= depth < len(self.layers):
            raise ValueError(f"the model has {len(self.layers) - 1} layers; it cannot end after {depth}")
        with torch.set_grad_enabled(self._gradients):
            view = Forward(self.policy, self.batch, self.positions, self.frozen, self.prepared)
            view._ends_early = True
            view.__dict__["_others"] = self._others  # the frozen policies have one pass, however many exits there are
            last = depth == len(self.layers) - 1  # the last one is normed already
            with autocast(self.policy):
                states = self.layers[depth] if last else self.policy.final_norm(self.layers[depth])
            view.__dict__["_hidden"] = view._predicting(states)
        return view

    def at_logits(self, quantity: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A full-vocabulary quantity, evaluated in pieces so that the whole of the logits need not exist.

        Args:
            quantity: (Float["n v"] tempered logits, Int["n"] tokens) -> Float["n"], of each row alone; it has a
                gradient in nothing but the logits.

        Returns:
            Float["b l"], 0 outside ``positions``.
        """
        return self._scatter(partial(of_logits, quantity, self._tempered_logits))

    def against(self, name: str, quantity: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Like :meth:`at_logits`, for a quantity of two distributions.

        Args:
            name: a frozen policy.
            quantity: (Float["n v"] tempered logits, Float["n v"] the frozen policy's) -> Float["n"].
        """
        other = self._under(name)
        return self._scatter(partial(of_both, quantity, self._tempered_logits, other._tempered_logits), other)

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
        return self._predicting(self._last_layer)

    def _predicting(self, states: Tensor) -> Tensor:
        return states[self._predictors[:, : states.shape[1]]]

    @cached_property
    def _predictors(self) -> Tensor:
        """Bool["b l"]: the token before each of the ``positions``."""
        return nn.functional.pad(self.positions[:, 1:], (0, 1))

    @cached_property
    def _read(self) -> Tensor:
        """Bool["b l"]: the tokens whose states in the last layer anybody may read."""
        return self._predictors | self.positions if "score" in self.policy.heads else self._predictors

    @cached_property
    def _last_layer(self) -> Tensor:
        """Float["b k d"], up to the last token that is read."""
        if self._keeps_layers or "_every_layer" in self.__dict__:
            return self._every_layer[-1]
        # Nobody attends to what stands behind the last token that is read.
        lengths = (self._read * torch.arange(1, self._read.shape[1] + 1, device=self._read.device)).amax(1)
        plain = self._inputs is None and self._parameters is None
        shared = prefixes(self.batch, lengths) if plain and can_share(self.policy.model) else None
        if shared is not None:
            return self._shared_pass(shared)
        longest = max(1, int(lengths.max()))
        with self.policy.reading(self._read[:, :longest]):
            return self._pass(longest, output_hidden_states=False).last_hidden_state  # type: ignore[no-any-return]

    @cached_property
    def _every_layer(self) -> tuple[Tensor, ...]:
        if "_last_layer" in self.__dict__:
            raise RuntimeError("layers are read before anything else, or announced: put 'layers' in needs")
        return self._pass(self.batch.tokens.shape[1], output_hidden_states=True).hidden_states  # type: ignore[no-any-return]

    def _shared_pass(self, shared: Prefixes) -> Tensor:
        self._count_tokens()
        reading = self.policy.reading(shared.taken(self._read))
        with torch.set_grad_enabled(self._gradients), autocast(self.policy), self._mode(), reading:
            return shared.pass_through(self.policy.model)

    def _mode(self) -> AbstractContextManager[None]:
        return self.policy.training_pass() if self._gradients else nullcontext()

    def _count_tokens(self) -> None:
        # As if each sequence passed by itself, so that the count says what was asked for on whatever machine.
        tokens = int(self.batch.attention_mask.sum())
        self.policy.tokens_passed += tokens
        self.policy.tokens_differentiated += tokens if self._gradients else 0

    def _pass(self, length: int, output_hidden_states: bool) -> Any:
        # Rows are padded on the right, so causal attention alone keeps real tokens from seeing padding; without an
        # explicit mask the attention kernels take their fast causal path.
        given, name = (self.batch.tokens, "input_ids") if self._inputs is None else (self._inputs, "inputs_embeds")
        asked = {name: given[:, :length], "use_cache": False, "output_hidden_states": output_hidden_states}
        model = self.policy.model.base_model
        self._count_tokens()
        with torch.set_grad_enabled(self._gradients), autocast(self.policy):
            if self._parameters is None:
                with self._mode():
                    return model(**asked)
            prefix = f"{self.policy.model.base_model_prefix}."
            weights = {n.removeprefix(prefix): p for n, p in self._parameters.items() if n.startswith(prefix)}
            return torch.func.functional_call(model, weights, kwargs=asked)

    @cached_property
    def _tokens(self) -> Tensor:
        return self.batch.tokens[self.positions]

    @cached_property
    def _temperature(self) -> Tensor:
        """Float["n"]: the row's for sampled tokens; what was given was drawn at no temperature and keeps 1."""
        sampled = self.batch.origin == int(Origin.SAMPLED)
        return torch.where(sampled, self.batch.temperature[:, None], 1.0)[self.positions]

    @cached_property
    def _tempered(self) -> bool:
        return bool((self.batch.temperature != 1).any())

    @cached_property
    def _tempered_logits(self) -> Callable[[Tensor, Tensor], Tensor]:
        """What makes tempered logits of what the head projects, and of temperatures."""
        return partial(tempered, self.policy.finished) if self._tempered else partial(untempered, self.policy.finished)

    @cached_property
    def _projected(self) -> Tensor:
        """Float["n v"]: all that the head's product makes of the states."""
        return self._project(slice(None))

    def _project(self, rows: slice) -> Tensor:
        if self._parameters is not None:
            raise RuntimeError("under other weights only layers exist: the head would be that of the policy's own")
        with torch.set_grad_enabled(self._gradients), autocast(self.policy):
            return self.policy.project(self._hidden[rows])

    def _scatter(self, number: Callable[..., Tensor], *others: Forward) -> Tensor:
        """A number per position, of what the head projects, temperatures, tokens and what others' heads project."""

        def of(rows: slice) -> Tensor:
            whole = rows == slice(None)
            projected, *theirs = (view._projected if whole else view._project(rows) for view in (self, *others))
            return by_pieces(number, projected, (self._temperature[rows], self._tokens[rows], *theirs))

        count, vocabulary = len(self._tokens), int(self.policy.model.config.vocab_size)
        with torch.set_grad_enabled(self._gradients):
            # The states are computed here once, not inside a recomputed chunk.
            most = LOGITS_AT_ONCE.get(self._hidden.device.type, LOGITS_AT_ONCE_ELSEWHERE)
            size = max(POSITIONS_AT_ONCE, most // vocabulary)
            if count <= size or (self._gradients and count * vocabulary <= LOGITS_HELD):
                values = of(slice(None))
            else:
                chunks = [slice(at, min(at + size, count)) for at in range(0, count, size)]
                values = torch.cat([checkpoint(of, chunk, use_reentrant=False) for chunk in chunks])
            out = torch.zeros(self.positions.shape, dtype=values.dtype, device=values.device)
            return out.masked_scatter(self.positions, values)
