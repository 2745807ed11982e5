"""The in-process engine: any Hugging Face causal LM, sampled with a key-value cache.

One prefill per prompt is shared by its completions; finished rows leave the batch; the log-probabilities of what was
sampled are recorded at no extra pass. Random numbers belong to (prompt, completion, position), so neither the cut into
batches nor the order in which rows finish changes what is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from posttrain.engines.buffers import keep_rows, make_room
from posttrain.engines.draws import sample
from posttrain.engines.shared_prompts import SharedLayer, check_all_read, share
from posttrain.engines.twins import Twin
from posttrain.policy import Policy, autocast
from posttrain.prefixes import can_share
from posttrain.stopwatch import phase
from posttrain.types import Completion, LogitsRule, Sampling

LEAVING = 7 / 8
"""Rows that have ended leave the batch if no more than this share stays: for them to leave, the others must move."""
TOGETHER = 5 / 4
"""Rows of a prompt stay together if that makes the batch at most so many times larger than the rows that go on."""


class HuggingFaceEngine:
    """Samples with the weights that the policy has when it is loaded.

    Args:
        rows_per_batch: completions decoded at a time, at most.
        tokens_per_batch: keys and values held at a time, at most, in tokens (rows x their greatest possible length).
            A prompt's completions are never parted, so one prompt may hold more.
    """

    def __init__(self, rows_per_batch: int = 512, tokens_per_batch: int = 1 << 18) -> None:
        self._rows_per_batch = rows_per_batch
        self._tokens_per_batch = tokens_per_batch
        self._policy: Policy | None = None
        self._twin: Twin | None = None
        self._version = -1
        self._filled = False

    @property
    def version(self) -> int:
        """The step whose weights are loaded; -1 before the first load."""
        return self._version

    def load(self, policy: Policy, version: int) -> None:
        """Write with this policy's weights, as they are when it writes next."""
        self._policy, self._version = policy, version
        self._filled = False

    def _ready(self) -> Policy:
        """The loaded policy, in the type of its products."""
        if self._policy is None:
            raise RuntimeError("load a policy before generating")
        if self._twin is None or not self._twin.is_of(self._policy):
            self._twin = Twin(self._policy)
        elif not self._filled:
            self._twin.fill()
        self._filled = True
        return self._twin.policy

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """Continue every prompt; see :class:`posttrain.protocols.Engine`."""
        policy, n = self._ready(), completions_per_prompt
        uniforms = torch.rand(len(prompts) * n, sampling.max_new_tokens, generator=generator)
        out: list[list[Completion]] = [[] for _ in prompts]
        for chosen in self._batches(prompts, n, sampling.max_new_tokens):
            rows = torch.tensor([i * n + j for i in chosen for j in range(n)])
            with torch.no_grad(), autocast(policy):
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


@dataclass
class _Rows:
    """What is being written: ``p`` prompts with ``n`` rows each, prompt-major; all tensors have r = p*n rows."""

    cache: Any
    readers: list[SharedLayer] | None
    rows_per_prompt: int
    index: Tensor  # Int["r"]: which completion of the call
    mask: Tensor  # Int["r t"]: 0 at padding, as long as the text may become
    length: int  # of what the cache holds, padding included
    position: Tensor  # Int["r"]: position of the next token
    uniforms: Tensor  # Float["r m"]
    alive: Tensor  # Bool["r"]: whether the row goes on

    def leave(self) -> Tensor:
        """Let rows that have ended go, if that makes the batch enough smaller: Int["r"], the rows that stay."""
        everybody = torch.arange(len(self.alive), device=self.alive.device)
        if int(self.alive.sum()) > LEAVING * len(self.alive):
            return everybody
        prompts, rows = staying(self.alive.view(-1, self.rows_per_prompt))
        if rows.numel() > LEAVING * len(self.alive):
            return everybody
        for layer in self.cache.layers:
            keep_rows(layer, prompts, rows)
        self.rows_per_prompt, rows = rows.shape[1], rows.flatten()
        self.index, self.mask, self.position = self.index[rows], self.mask[rows], self.position[rows]
        self.uniforms, self.alive = self.uniforms[rows], self.alive[rows]
        return rows


def staying(alive: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest batch that holds all rows which go on and keeps those of a prompt together, if that is worth it.

    Args:
        alive: Bool["p n"].

    Returns:
        Int["q"] the prompts that stay, ascending, and Int["q m"] their rows. Some of these may have ended. Where too
        many would have, every row stands alone (m = 1), and its prompt is named as often as it has rows.
    """
    prompts, most = alive.any(1).nonzero()[:, 0], int(alive.sum(1).max())
    if len(prompts) * most > TOGETHER * int(alive.sum()):
        rows = alive.flatten().nonzero()
        return rows[:, 0] // alive.shape[1], rows
    # A stable sort puts those that go on first and leaves both kinds in their order.
    first = alive[prompts].int().argsort(dim=1, descending=True, stable=True)[:, :most].sort(1).values
    return prompts, prompts[:, None] * alive.shape[1] + first


def _decode(policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, uniforms: Tensor) -> list[Completion]:
    """Decode one batch of prompts, ``n`` completions each, prompt-major."""
    with phase("prefill"):
        logits, rows = _begin(policy, prompts, n, sampling, uniforms)
    with phase("decode"):
        return _write(policy, prompts, n, sampling, logits, rows)


def _write(
    policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, logits: Tensor, rows: _Rows
) -> list[Completion]:
    """Write token after token until every row has ended."""
    tokens = torch.full((len(prompts) * n, sampling.max_new_tokens), -1, dtype=torch.long, device=policy.device)
    logprobs = torch.full(tokens.shape, float("nan"), device=policy.device)
    for step in range(sampling.max_new_tokens):
        if sampling.rules:
            index = rows.index[rows.alive]
            chosen = [prompts[i // n] for i in index.tolist()]
            ruled = _ruled(logits[rows.alive], sampling.rules, chosen, tokens[index, :step])
            logits[rows.alive] = ruled.to(logits.dtype)
        token, logprob = sample(logits, sampling.temperature, rows.uniforms[:, step])
        tokens[rows.index, step] = token.where(rows.alive, -1)
        logprobs[rows.index, step] = logprob.float()
        rows.alive = rows.alive & (token != policy.text.end) & (rows.position + 1 < policy.context)
        if step + 1 == sampling.max_new_tokens or not bool(rows.alive.any()):
            break
        logits = _step(policy, token[rows.leave()], rows)
    return _completions(tokens.cpu(), logprobs.cpu(), policy.text.end)


def _begin(policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, uniforms: Tensor) -> tuple[Tensor, _Rows]:
    """Read every prompt once, and make ``n`` rows of it: Float["r v"] next-token logits, and the rows."""
    logits, cache, mask = _prefill(policy, prompts)
    new = sampling.max_new_tokens
    readers = share(cache, mask, n, new) if can_share(policy.model) else None
    if readers is None:
        make_room(cache, n, new)
    position = mask.sum(1).repeat_interleave(n)
    room = nn.functional.pad(mask, (0, new), value=1).repeat_interleave(n, 0)
    index = torch.arange(len(position), device=policy.device)
    alive = torch.ones_like(index, dtype=torch.bool)
    rows = _Rows(cache, readers, n, index, room, mask.shape[1], position, uniforms.to(policy.device), alive)
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
    position = rows.position[:, None]
    # What has ended at the end of the context writes on, unread.
    rows.position = (rows.position + 1).clamp(max=policy.context - 1)
    if rows.readers is None:
        return _logits(policy, token[:, None], rows.mask[:, : rows.length], position, rows.cache)
    asked = {"attention_mask": None, "position_ids": position, "past_key_values": rows.cache, "use_cache": True}
    states = policy.model.base_model(input_ids=token[:, None], readers=rows.readers, **asked).last_hidden_state
    check_all_read(rows.readers)
    return policy.head(states[:, -1])


def _logits(policy: Policy, tokens: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Tensor:
    """Float["r v"]: logits of the token after the last column."""
    states = policy.model.base_model(
        input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    return policy.head(states[:, -1])


def _completions(tokens: Tensor, logprobs: Tensor, end: int) -> list[Completion]:
    out = []
    for row, values in zip(tokens, logprobs):
        length = int((row >= 0).sum())
        written = row[:length].clone()
        out.append(Completion(written, values[:length].clone(), stopped=bool(length and int(written[-1]) == end)))
    return out
