"""The in-process engine: any Hugging Face causal LM, sampled with a key-value cache.

One prefill per prompt is shared by its completions; finished rows leave the batch, and a prompt is handed over when the
last of its rows has ended; the log-probabilities of what was sampled are recorded at no extra pass. Random numbers
belong to (prompt, completion, position), so neither the cut into batches nor the order in which rows finish changes
what is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

from posttrain.arrivals import in_order
from posttrain.engines.buffers import make_room
from posttrain.engines.draws import sample
from posttrain.engines.passes import read_prompts
from posttrain.engines.rows import Rows
from posttrain.engines.shared_prompts import SharedPrompts
from posttrain.engines.steps import Directly, Recorded, Recorder, Steps, can_be_recorded, cuda_graph
from posttrain.engines.twins import Twin
from posttrain.policy import Policy, autocast
from posttrain.prefixes import reads_shared_prompts
from posttrain.sampling import Completion, LogitsRule, Sampling
from posttrain.stopwatch import phase

TOKENS_BETWEEN_LOOKS = 16
"""On devices that run ahead of the program."""


class HuggingFaceEngine:
    """Samples with the weights that the policy has when it is loaded.

    Args:
        rows_per_batch: completions decoded at a time, at most.
        tokens_per_batch: keys and values held at a time, at most, in tokens (rows x their greatest possible length).
            A prompt's completions are never parted, so one prompt may hold more.
        tokens_between_looks: how often it is looked which rows have ended; they write on, unread, until then. To look
            is to wait for the device, so by default it is at every token on a CPU, at every 16th anywhere else. Where
            rules choose the tokens it is at every one.
        record: how steps are recorded to be played again; by default as CUDA graphs on a GPU, and not at all elsewhere.

    Raises:
        ValueError: fewer than one of any of these.
    """

    def __init__(
        self,
        rows_per_batch: int = 512,
        tokens_per_batch: int = 1 << 18,
        tokens_between_looks: int | None = None,
        record: Recorder | None = None,
    ) -> None:
        if min(rows_per_batch, tokens_per_batch, tokens_between_looks or 1) < 1 or tokens_between_looks == 0:
            raise ValueError("an engine needs at least 1 row and token per batch, and 1 token between looks")
        self._rows_per_batch = rows_per_batch
        self._tokens_per_batch = tokens_per_batch
        self._tokens_between_looks = tokens_between_looks
        self._record = record
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
            self._twin = None  # its memory, before another takes as much
            self._twin = Twin(self._policy)
        elif not self._filled:
            self._twin.fill()
        self._filled = True
        return self._twin.policy

    def generate(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> list[list[Completion]]:
        """Continue every prompt; see :class:`posttrain.protocols.Engine`."""
        return in_order(self.as_finished(prompts, sampling, completions_per_prompt, generator), len(prompts))

    def as_finished(
        self, prompts: Sequence[Tensor], sampling: Sampling, completions_per_prompt: int, generator: Generator
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The same; a prompt is there when the last of its completions has ended, whatever the others do."""
        policy, n = self._ready(), completions_per_prompt
        looks = self._tokens_between_looks or (1 if policy.device.type == "cpu" else TOKENS_BETWEEN_LOOKS)
        between = 1 if sampling.rules else looks  # rules wait for the device anyway, and read rows that go on
        uniforms = torch.rand(len(prompts) * n, sampling.max_new_tokens, generator=generator)
        for chosen in self._batches(prompts, n, sampling.max_new_tokens):
            rows = torch.tensor([i * n + j for i in chosen for j in range(n)])
            batch = [prompts[i] for i in chosen]
            # No name for the batch that is written: it would hold its keys and values while the next is read.
            writing = (policy, batch, n, sampling, uniforms[rows], between, self._steps(policy))
            for place, completions in _Writing(*writing).finished():
                yield chosen[place], completions

    def _steps(self, policy: Policy) -> Steps:
        record = cuda_graph if self._record is None and policy.device.type == "cuda" else self._record
        return Recorded(policy, record) if record is not None and can_be_recorded(policy.model) else Directly(policy)

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


class _Writing:
    """A batch of prompts being continued, ``n`` completions each; made by reading the prompts.

    Args:
        policy: writes.
        prompts: Int["l"] each.
        n: completions of each prompt.
        sampling: how they are written.
        uniforms: Float["p*n m"] in [0, 1), prompt-major, a number per token.
        between: tokens between two looks at which rows have ended.
        steps: the way through the model.
    """

    def __init__(
        self,
        policy: Policy,
        prompts: list[Tensor],
        n: int,
        sampling: Sampling,
        uniforms: Tensor,
        between: int,
        steps: Steps,
    ) -> None:
        self._policy, self._prompts, self._n, self._sampling, self._steps = policy, prompts, n, sampling, steps
        with _computing(policy, "prefill"):
            self._logits, self._rows = _begin(policy, prompts, n, sampling, uniforms, steps)
            shape = (len(prompts), n, sampling.max_new_tokens)
            self._tokens = torch.full(shape, -1, dtype=torch.long, device=policy.device)
            self._logprobs = torch.full(shape, float("nan"), device=policy.device)
        self._length, self._between = 0, between
        # What is decided about rows is decided on the CPU, of one copy per look.
        self._prompt_of_row = torch.arange(len(prompts)).repeat_interleave(n)
        self._open = torch.ones(len(prompts), dtype=torch.bool)

    def finished(self) -> Iterator[tuple[int, list[Completion]]]:
        """Write to the end: a prompt's place and its completions as soon as the last of them has ended."""
        while bool(self._open.any()):
            # No mode of torch may be held over a yield: it would hold for who reads.
            with _computing(self._policy, "decode"):
                found = self._until_one_is_finished()
            yield from found

    def _until_one_is_finished(self) -> list[tuple[int, list[Completion]]]:
        while True:
            token = self._write()
            if self._length % self._between and self._length < self._sampling.max_new_tokens:
                self._logits = self._steps(token, self._rows)
                continue
            alive = self._rows.alive.cpu() & (self._length < self._sampling.max_new_tokens)
            ended = self._newly_ended(alive)
            found = self._completions(ended) if len(ended) else []
            if bool(self._open.any()):
                stay = self._rows.leave(alive, self._steps.leaving)
                if stay is not None:
                    self._prompt_of_row, token = self._prompt_of_row[stay], token[stay.to(token.device)]
                self._logits = self._steps(token, self._rows)
            if found:
                return found

    def _write(self) -> Tensor:
        """Choose the next token of every row, Int["r"], and note it for those that go on."""
        rows, sampling, step = self._rows, self._sampling, self._length
        tokens, logprobs = self._tokens.flatten(0, 1), self._logprobs.flatten(0, 1)
        if sampling.rules:
            index = rows.index[rows.alive]
            chosen = [self._prompts[i // self._n] for i in index.tolist()]
            ruled = _ruled(self._logits[rows.alive], sampling.rules, chosen, tokens[index, :step])
            self._logits[rows.alive] = ruled.to(self._logits.dtype)
        token, logprob = sample(self._logits, sampling.temperature, rows.uniforms[:, step])
        tokens[rows.index, step] = token.where(rows.alive, -1)
        logprobs[rows.index, step] = logprob.float()
        rows.alive = rows.alive & (token != self._policy.text.end) & (rows.position + 1 < self._policy.context)
        self._length += 1
        return token

    def _newly_ended(self, alive: Tensor) -> Tensor:
        """Int["e"]: the prompts whose last row has just ended, ascending."""
        going = torch.zeros_like(self._open)
        going[self._prompt_of_row[alive]] = True
        ended = (self._open & ~going).nonzero()[:, 0]
        self._open = going
        return ended

    def _completions(self, prompts: Tensor) -> list[tuple[int, list[Completion]]]:
        """What was written behind each of these prompts, Int["e"]; where nothing was, tokens are -1."""
        chosen = prompts.to(self._tokens.device)
        tokens, logprobs = self._tokens[chosen].cpu(), self._logprobs[chosen].cpu()
        lengths, stopped = (tokens >= 0).sum(-1).tolist(), (tokens == self._policy.text.end).any(-1).tolist()
        return [
            (place, [Completion(row[:k].clone(), values[:k].clone(), ended) for row, values, k, ended in zip(*written)])
            for place, *written in zip(prompts.tolist(), tokens, logprobs, lengths, stopped)
        ]


@contextmanager
def _computing(policy: Policy, name: str) -> Iterator[None]:
    with torch.no_grad(), autocast(policy), phase(name):
        yield


def _begin(
    policy: Policy, prompts: list[Tensor], n: int, sampling: Sampling, uniforms: Tensor, steps: Steps
) -> tuple[Tensor, Rows]:
    """Read every prompt once, and make ``n`` rows of it: Float["r v"] next-token logits, and the rows."""
    logits, cache, mask = read_prompts(policy, prompts)
    new = sampling.max_new_tokens
    shared = None
    if reads_shared_prompts(policy.model):
        shared = SharedPrompts(cache, mask, n, new, steps.cursor(new, policy.device))
    else:
        make_room(cache, n, new)
    position = mask.sum(1).repeat_interleave(n)
    room = nn.functional.pad(mask, (0, new), value=1).repeat_interleave(n, 0)
    index = torch.arange(len(position), device=policy.device)
    alive = torch.ones_like(index, dtype=torch.bool)
    rows = Rows(cache, shared, n, index, room, mask.shape[1], position, uniforms.to(policy.device), alive)
    return logits.repeat_interleave(n, 0), rows


def _ruled(logits: Tensor, rules: Sequence[LogitsRule], prompts: Sequence[Tensor], written: Tensor) -> Tensor:
    """The logits after every rule."""
    texts = [torch.cat([prompt.to(written.device), row]) for prompt, row in zip(prompts, written)]
    for rule in rules:
        logits = rule(logits, texts)
    return logits
