"""The entropy bonus in numbers."""

import math

import pytest
import torch

from fixtures.models import bigram_policy
from fixtures.sequences import sequence, spell
from posttrain.batching import collate
from posttrain.forward import Forward
from posttrain.objectives.entropy import NegativeEntropy


def test_a_uniform_distribution_has_the_entropy_of_its_size_and_no_gradient() -> None:
    policy = bigram_policy(torch.zeros(4, 4, dtype=torch.float64))
    batch = collate([sequence([1, 2], spell("ps"))], 0, policy.device)
    loss = NegativeEntropy()(Forward(policy, batch, torch.tensor([[False, True]])), batch)
    assert loss[0].tolist() == pytest.approx([0.0, -math.log(4)])
    loss.sum().backward()
    assert float(policy.model.table.grad.abs().max()) == pytest.approx(0.0)


def test_descending_it_flattens_the_distribution() -> None:
    table = torch.tensor([[2.0, 0.0]] * 2, dtype=torch.float64)
    policy = bigram_policy(table)
    batch = collate([sequence([1, 0], spell("ps"))], 0, policy.device)
    NegativeEntropy()(Forward(policy, batch, torch.tensor([[False, True]])), batch).sum().backward()
    gradient = policy.model.table.grad[1]
    assert float(gradient[0]) > 0 > float(gradient[1])


def test_it_is_never_inert() -> None:
    assert not NegativeEntropy().inert(sequence([1, 2], spell("ps"), advantages=0.0))
