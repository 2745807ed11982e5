"""What a run has used up, and when it has lost too much of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from posttrain.collect import Collection
from posttrain.policy import Policy
from posttrain.types import Origin

UNSCORABLE_LIMIT = 0.01
"""The run stops when more than this share of all answers could not be judged."""
UNSCORABLE_GRACE = 100
"""Answers judged before the limit applies."""


class TooManyUnscorable(Exception):
    """The verifier fails too often for its verdicts to be a reward."""


@dataclass
class Spent:
    """What a run has used up so far; travels through checkpoints.

    ``flops`` counts 2 per parameter and token of a pass, of the policy and of frozen ones each with its own size, and 4
    more where it has a gradient.
    """

    completions_sampled: int = 0
    tokens_sampled: int = 0
    tokens_trained: int = 0
    answers_judged: int = 0
    answers_unscorable: int = 0
    updates: int = 0
    flops: float = 0.0
    seconds: float = 0.0


def count(spent: Spent, policy: Policy, collection: Collection) -> None:
    """Add up what was sampled and judged, and stop where verdicts fail too often."""
    written = [r for r in collection.rollouts if r.ended != "given"]
    spent.completions_sampled += len(written)
    origins = torch.cat([torch.empty(0, dtype=torch.long), *(r.origin for r in collection.rollouts)])
    spent.tokens_sampled += int((origins == int(Origin.SAMPLED)).sum())
    spent.flops += 2.0 * policy.parameters_count * sum(r.tokens.shape[0] for r in written)
    spent.answers_judged += sum(1 for r in collection.rollouts if r.verdict is not None)
    spent.answers_unscorable += collection.unscorable
    judged, failed = spent.answers_judged, spent.answers_unscorable
    if judged >= UNSCORABLE_GRACE and failed > UNSCORABLE_LIMIT * judged:
        raise TooManyUnscorable(
            f"{failed} of {judged} answers could not be judged (limit {UNSCORABLE_LIMIT:.0%}); "
            "look at their reasons in rollouts.jsonl and mend the verifier or its time limit"
        )
