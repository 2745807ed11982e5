"""How likely a policy finds given answers: what curation compares them by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.arrivals import in_order
from posttrain.batching import collate, microbatches
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.protocols import Source
from posttrain.recipe import Workspace
from posttrain.sampling import Sampling
from posttrain.types import Example, Origin, Progress, Rollout, TokenBatch, TrainingSequence

EXAMPLES_AT_ONCE = 1024
"""Examples whose answers are tokenised at a time, so that a pool of millions need not lie in memory as tokens."""


@dataclass(frozen=True)
class Scored:
    """What a policy finds of the demonstrations of some examples.

    Args:
        fits: per example, by place, the mean log-probability per token of each demonstration, in nats, a finite number;
            those that are longer than the policy's context, or have no token to score, are missing.
        tokens: how many passed the model.
    """

    fits: list[dict[int, float]]
    tokens: int


def scored(
    examples: Sequence[Example], source: Source, workspace: Workspace, tokens_per_microbatch: int, end_counts: bool
) -> Scored:
    """Score every demonstration of every example under the workspace's policy.

    Args:
        examples: with demonstrations.
        source: what training reads, a rollout per demonstration, so that exactly its tokens are scored.
        workspace: its policy is only read.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
        end_counts: see :func:`mean_logprobs`.

    Raises:
        ValueError: the source does not write a rollout per demonstration.
        UserError: the policy finds one impossible, or not a number.
    """
    policy, now = workspace.policy, Progress(0, 0, workspace.seed, ("scoring",))
    fits: list[dict[int, float]] = []
    tokens = 0
    for at in range(0, len(examples), EXAMPLES_AT_ONCE):
        part = examples[at : at + EXAMPLES_AT_ONCE]
        groups = in_order(source(part, workspace.engine, policy.text, Sampling(), now), len(part))
        if [len(group) for group in groups] != [len(example.demonstrations) for example in part]:
            raise ValueError(f"{type(source).__name__} does not write a rollout per demonstration")
        fitting = [
            [place for place, r in enumerate(group) if len(r.tokens) <= policy.context and _tokens(r, end_counts)]
            for group in groups
        ]
        rollouts = [group[place] for group, places in zip(groups, fitting) for place in places]
        means = iter(mean_logprobs(rollouts, policy, tokens_per_microbatch, end_counts))
        found = [{place: next(means) for place in places} for places in fitting]
        _refuse_infinite(part, found)
        fits += found
        tokens += sum(len(r.tokens) for r in rollouts)
    return Scored(fits, tokens)


def _refuse_infinite(examples: Sequence[Example], fits: Sequence[Mapping[int, float]]) -> None:
    """What is no number can be compared with nothing, and would win or lose by the order of the answers."""
    for example, found in zip(examples, fits):
        for place, fit in found.items():
            if not math.isfinite(fit):
                raise UserError(
                    f"the model's log-probability of demonstration {place + 1} of example {example.id!r} is {fit}; "
                    "leave it out, or use a model whose weights are sound"
                )


def mean_logprobs(
    rollouts: Sequence[Rollout], policy: Policy, tokens_per_microbatch: int, end_counts: bool = True
) -> list[float]:
    """The mean log-probability per token of each response, in nats; its negative is the log of the perplexity.

    Only tokens after the prompt count. Nothing is changed, and no gradients are made. Sums are in float64. The mean of
    a response without a token that counts is ``nan``.

    Args:
        rollouts: prompt and response, in which nothing was sampled; none longer than the policy's context.
        policy: as it stands.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
        end_counts: whether the last token of each, the end of the sequence, belongs to the response.
    """
    rows = [TrainingSequence(r, r.tokens, r.origin, "scored", uid) for uid, r in enumerate(rollouts)]
    found: dict[int, float] = {}
    for part in microbatches(rows, tokens_per_microbatch):
        batch = collate(part, policy.text.end, policy.device)
        positions = _response(batch, end_counts)
        with torch.no_grad():
            sums = Forward(policy, batch, positions).logprobs.double().sum(1)
        means = sums / positions.sum(1)
        found |= {row.uid: float(mean) for row, mean in zip(part, means)}
    return [found[uid] for uid in range(len(rows))]


def _tokens(rollout: Rollout, end_counts: bool) -> int:
    """How many tokens of a rollout :func:`mean_logprobs` scores."""
    written = int((rollout.origin[1:] != int(Origin.PROMPT)).sum())
    return written - (not end_counts)


def _response(batch: TokenBatch, end_counts: bool) -> Tensor:
    """Bool["b l"]."""
    positions = batch.origin != int(Origin.PROMPT)
    positions[:, 0] = False  # nothing predicts the first token
    if not end_counts:
        last = batch.attention_mask.sum(1) - 1
        positions[torch.arange(len(last), device=last.device), last] = False
    return positions


def mean(values: Iterable[float]) -> float:
    """Of any numbers; of none it is ``nan``."""
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else math.nan
