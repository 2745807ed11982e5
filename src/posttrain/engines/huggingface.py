"""The in-process engine: any Hugging Face causal LM, sampled with a key-value cache.

One prefill per prompt is shared by its completions; finished rows leave the batch; the log-probabilities of what was
sampled are recorded at no extra pass. Random numbers belong to (prompt, completion, position), so neither the cut into
batches nor the order in which rows finish changes what is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from posttrain.engines.buffers import keep_rows, make_room
from posttrain.policy import Policy, autocast
from posttrain.types import Completion, LogitsRule, Sampling

LEAVING = 7 / 8
"""Rows that have ended leave the batch when no more than this share goes on: to leave, all others must move."""


class HuggingFaceEngine:
    """Samples from the very module that is trained, so its weights cannot be stale.

    Args:
        rows_per_batch: completions decoded at a time, at most.
        tokens_per_batch: keys and values held at a time, at most, in tokens (rows x their greatest possible length).
            A prompt's completions are never parted, so one prompt may hold more.
    """

    def __init__(self, rows_per_batch: int = 512, tokens_per_batch: int = 1 << 18) -> None:
        self._rows_per_batch = rows_per_batch
        self._tokens_per_batch = tokens_per_batch
        self._policy: Policy | None = None
        self._version = -1

    @property
    def version(self) -> int:
        """The step whose weights are loaded; -1 before the first load."""
        return self._version

    def load(self, policy: Policy, version: int) -> None:
        """Point at the live policy; no copy is made."""
        self._policy, self._version = policy, version

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """Continue every prompt; see :class:`posttrain.protocols.Engine`."""
        if self._policy is None:
            raise RuntimeError("load a policy before generating")
        policy, n = self._policy, completions_per_prompt
        uniforms = torch.rand(len(prompts) * n, sampling.max_new_tokens, generator=generator)
        out: list[list[Completion]] = [[] for _ in prompts]
        for chosen in self._batches(prompts, n, sampling.max_new_tokens):
            rows = torch.tensor([i * n + j for i in chosen for j in range(n)])
            # no_grad, not inference_mode: only then does autocast keep the weights that it has cast.
            with torch.no_grad(), _every_cast_kept(policy), autocast(policy):
                finished = _decode(policy, [prompts[i] for i in chosen], n, sampling, uniforms[rows])
            for k, i in enumerate(chosen):
                out[i] = finished[k * n : (k + 1) * n]
        return out

    def _batches(self, prompts: Sequence[Tensor], n: int, max_new_tokens: int) -> Iterator[list[int]]:
        """Indices of prompts that are decoded together, shortest first, so that little is padding."""
        chosen: list[int] = []
        for index in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
            rows = (len(chosen) + 1) * n
            tokens = rows * (len(prompts[index]) + max_new_tokens)
            if chosen and (rows > self._rows_per_batch or tokens > self._tokens_per_batch):
                yield chosen
                chosen = []
            chosen.append(index)
        if chosen:
            yield chosen


@contextmanager
def _every_cast_kept(policy: Policy) -> Iterator[None]:
    """Autocast keeps the cast of a weight only if that could be trained; under an adapter most weights could not."""
    fixed = [p for p in policy.model.parameters() if not p.requires_grad] if policy.autocast is not None else []
    for parameter in fixed:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in fixed:
            parameter.requires_grad_(False)


@dataclass
class _Rows:
    """The rows that are being written; all tensors share their first dimension, and the cache has as many rows."""

    cache: Any
    index: Tensor  # Int["r"]: which completion of the call
    mask: Tensor  # Int["r t"]: 0 at padding, as long as the text may become
    length: int  # of what the cache holds, padding included
    position: Tensor  # Int["r"]: position of the next token
    uniforms: Tensor  # Float["r m"]
    alive: Tensor  # Bool["r"]: whether the row goes on

    def keep(self, rows: Tensor) -> None:
        self.index, self.mask, self.position = self.index[rows], self.mask[rows], self.position[rows]
        self.uniforms, self.alive = self.uniforms[rows], self.alive[rows]
        keep_rows(self.cache, rows)


def _decode(policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, uniforms: Tensor) -> list[Completion]:
    """Decode one batch of prompts, ``n`` completions each, prompt-major.

    Within one autocast, which casts every weight once and not once per token.
    """
    logits, rows = _begin(policy, prompts, n, sampling, uniforms)
    tokens = torch.full((len(prompts) * n, sampling.max_new_tokens), -1, dtype=torch.long, device=policy.device)
    logprobs = torch.full(tokens.shape, float("nan"), device=policy.device)
    for step in range(sampling.max_new_tokens):
        if sampling.rules:
            chosen = [prompts[i // n] for i in rows.index.tolist()]
            logits = _ruled(logits, sampling.rules, chosen, tokens[rows.index, :step])
        token, logprob = sample(logits, sampling.temperature, rows.uniforms[:, step])
        tokens[rows.index, step] = token.where(rows.alive, -1)
        logprobs[rows.index, step] = logprob.float()
        rows.alive = rows.alive & (token != policy.text.end) & (rows.position + 1 < policy.context)
        alive = int(rows.alive.sum())
        if not alive or step + 1 == sampling.max_new_tokens:
            break
        # Rules read what was written, and there is nothing to read of a row that has ended.
        if alive <= len(token) * (1 if sampling.rules else LEAVING):
            kept = rows.alive.nonzero()[:, 0]
            rows.keep(kept)
            token = token[kept]
        logits = _step(policy, token, rows)
    return _completions(tokens.cpu(), logprobs.cpu(), policy.text.end)


def _begin(
    policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, uniforms: Tensor
) -> tuple[Tensor, _Rows]:
    """Read every prompt once, and make ``n`` rows of it: Float["r v"] next-token logits, and the rows."""
    logits, cache, mask = _prefill(policy, prompts)
    make_room(cache, n, sampling.max_new_tokens)
    position = mask.sum(1).repeat_interleave(n)
    room = nn.functional.pad(mask, (0, sampling.max_new_tokens), value=1).repeat_interleave(n, 0)
    index = torch.arange(len(position), device=policy.device)
    alive = torch.ones_like(index, dtype=torch.bool)
    rows = _Rows(cache, index, room, mask.shape[1], position, uniforms.to(policy.device), alive)
    return logits.repeat_interleave(n, 0), rows


def _ruled(logits: Tensor, rules: Sequence[LogitsRule], prompts: Sequence[Tensor], written: Tensor) -> Tensor:
    """The logits after every rule."""
    texts = [torch.cat([prompt.to(written.device), row]) for prompt, row in zip(prompts, written)]
    for rule in rules:
        logits = rule(logits, texts)
    return logits


def _prefill(policy: Policy, prompts: list[Tensor]) -> tuple[Tensor, Any, Tensor]:
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
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = _logits(policy, tokens, mask, positions, cache)
    return logits, cache, mask


def _step(policy: Policy, token: Tensor, rows: _Rows) -> Tensor:
    """Int["r"] the newest tokens -> Float["r v"] the logits of the next."""
    rows.length += 1
    logits = _logits(policy, token[:, None], rows.mask[:, : rows.length], rows.position[:, None], rows.cache)
    rows.position = (rows.position + 1).clamp(max=policy.context - 1)  # what has ended there writes on, unread
    return logits


def _logits(policy: Policy, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
    """Float["r v"]: logits of the token after the last column."""
    states = policy.model.base_model(
        input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return policy.head(states[:, -1])


def sample(logits: Tensor, temperature: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Draw by inverting the cumulative distribution.

    Args:
        logits: Float["r v"].
        temperature: 0 takes the most likely token.
        uniforms: Float["r"] in [0, 1).

    Returns:
        Int["r"] tokens and Float["r"] their log-probabilities at this temperature (greedy: at temperature 1).
    """
    logprobs = torch.log_softmax(logits / (temperature or 1.0), -1)
    if temperature == 0:
        token = logits.argmax(-1)
    else:
        cumulative = logprobs.exp().cumsum(-1)
        # Rounding may leave the total below 1; scaling the draw by it keeps every draw inside the support.
        draws = uniforms.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, draws, right=True)
        token = token[:, 0].clamp(max=logits.shape[-1] - 1)
    return token, logprobs.gather(-1, token[:, None])[:, 0]


def _completions(tokens: Tensor, logprobs: Tensor, end: int) -> list[Completion]:
    out = []
    for row, values in zip(tokens, logprobs):
        length = int((row >= 0).sum())
        written = row[:length].clone()
        out.append(Completion(written, values[:length].clone(), stopped=bool(length and int(written[-1]) == end)))
    return out
