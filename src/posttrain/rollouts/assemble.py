"""Pieces of token sequences become rollouts: the one place where origin is written down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from posttrain.protocols import Engine
from posttrain.sampling import Completion, Sampling
from posttrain.text import Text
from posttrain.types import Example, Origin, Progress, Rollout


def given(example: Example, text: Text, prompt: Tensor, written: Tensor, labels: Mapping[str, float]) -> Rollout:
    """A rollout in which nothing was sampled: prompt, then a demonstration that ends with end-of-sequence."""
    tokens = torch.cat([prompt, written])
    origin = torch.full_like(tokens, int(Origin.GIVEN))
    origin[: len(prompt)] = int(Origin.PROMPT)
    unknown = torch.full((len(tokens),), float("nan"))
    return Rollout(example, tokens, origin, unknown, text.decode(written), 1.0, -1, "given", example.id, dict(labels))


def continued(
    example: Example,
    text: Text,
    prompt: Tensor,
    hint: Tensor,
    completions: Sequence[Completion],
    sampling: Sampling,
    engine: Engine,
    labels: Mapping[str, float],
) -> tuple[Rollout, ...]:
    """A group: prompt, then a hint that was given (possibly empty), then what the policy sampled."""
    before = torch.cat([prompt, hint])
    origin = torch.full_like(before, int(Origin.GIVEN))
    origin[: len(prompt)] = int(Origin.PROMPT)
    unknown = torch.full((len(before),), float("nan"))
    return tuple(
        Rollout(
            example=example,
            tokens=torch.cat([before, completion.tokens]),
            origin=torch.cat([origin, torch.full_like(completion.tokens, int(Origin.SAMPLED))]),
            behaviour_logprobs=torch.cat([unknown, completion.logprobs.float()]),
            response=text.decode(torch.cat([hint, completion.tokens])),
            temperature=sampling.temperature or 1.0,
            policy_version=engine.version,
            ended="stop" if completion.stopped else "length",
            group=example.id,
            labels=dict(labels),
        )
        for completion in completions
    )


def continue_all(
    examples: Sequence[Example],
    hints: Sequence[Tensor],
    labels: Sequence[Mapping[str, float]],
    rollouts_per_prompt: int,
    engine: Engine,
    text: Text,
    sampling: Sampling,
    now: Progress,
) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
    """Sample ``rollouts_per_prompt`` continuations of every prompt + hint; per example its place and its group."""
    prompts = [text.encode(e.prompt) for e in examples]
    starts = [torch.cat([p, h]) for p, h in zip(prompts, hints)]
    for at, written in engine.as_finished(starts, sampling, rollouts_per_prompt, now.generator("sampling")):
        yield at, continued(examples[at], text, prompts[at], hints[at], written, sampling, engine, labels[at])


def continue_or_give(
    examples: Sequence[Example],
    hints: Sequence[Tensor],
    labels: Sequence[Mapping[str, float]],
    complete: Sequence[bool],
    rollouts_per_prompt: int,
    engine: Engine,
    text: Text,
    sampling: Sampling,
    now: Progress,
) -> Iterator[tuple[int, tuple[Rollout, ...]]]:
    """The same, but a ``complete`` hint is ended at once, and its group is that one rollout so many times."""
    for i, whole in enumerate(complete):
        if whole:
            yield i, (_ended(examples[i], text, hints[i], labels[i]),) * rollouts_per_prompt
    open_ = [i for i, whole in enumerate(complete) if not whole]
    sampled = continue_all(
        [examples[i] for i in open_],
        [hints[i] for i in open_],
        [labels[i] for i in open_],
        rollouts_per_prompt,
        engine,
        text,
        sampling,
        now,
    )
    for at, group in sampled:
        yield open_[at], group


def _ended(example: Example, text: Text, hint: Tensor, labels: Mapping[str, float]) -> Rollout:
    written = torch.cat([hint, torch.tensor([text.end])])
    return given(example, text, text.encode(example.prompt), written, labels)
