"""Signals that a pass of a model provides."""

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.sequences import ragged, sequence
from fixtures.training import CPU
from posttrain.annotate import annotate
from posttrain.batching import collate
from posttrain.policy import Forward, Policy
from posttrain.types import Origin, TrainingSequence
from tolerances import MODEL

BOTH = frozenset({"old_logprobs", "reference_logprobs"})


def bare(temperature: float = 0.7) -> list[TrainingSequence]:
    """Ragged sequences with advantages only."""
    return [
        sequence(s.tokens.tolist(), s.origin.tolist(), uid=s.uid, temperature=temperature, advantages=1.0)
        for s in ragged(6)
    ]


def direct(policy: Policy, row: TrainingSequence) -> Tensor:
    batch = collate([row], 0, CPU.device)
    positions = batch.origin != int(Origin.PROMPT)
    positions[:, 0] = False
    with torch.no_grad():
        return Forward(policy, batch, positions).logprobs[0]


@pytest.mark.parametrize("budget", [1, 40, 1000])
def test_each_signal_is_its_policys_logprobs_at_the_sampling_temperature(policy: Policy, budget: int) -> None:
    frozen = tiny_policy(seed=1)
    rows = bare()
    for row, annotated in zip(rows, annotate(rows, policy, {"reference": frozen}, BOTH, budget), strict=True):
        assert annotated.uid == row.uid
        assert set(annotated.signals) == {"advantages", *BOTH}
        torch.testing.assert_close(annotated.signals["old_logprobs"], direct(policy, row), rtol=0, atol=MODEL)
        torch.testing.assert_close(annotated.signals["reference_logprobs"], direct(frozen, row), rtol=0, atol=MODEL)


def test_a_signal_carries_no_gradient(policy: Policy) -> None:
    (first, *_) = annotate(bare(), policy, {}, frozenset({"old_logprobs"}), 1000)
    assert not first.signals["old_logprobs"].requires_grad


def test_nothing_needed_is_nothing_done(policy: Policy) -> None:
    rows = bare()
    assert annotate(rows, policy, {}, frozenset(), 1000) == rows
