"""Divergences in numbers."""

import math

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table
from fixtures.sequences import sequence, spell
from fixtures.stated import Stated, row, stated_batch
from posttrain.batching import collate
from posttrain.credit.token_rewards import KlPenalty
from posttrain.forward import Forward
from posttrain.objectives.kl import EstimatedKl, ExactKl
from tolerances import ROUNDING

D = math.log(2)  # the reference finds the token twice as likely


@pytest.mark.parametrize(
    ("estimator", "value", "slope"),
    [("k1", -D, 1.0), ("k2", D * D / 2, -D), ("k3", 2 - D - 1, -1.0)],
)
def test_the_estimators_and_their_slopes(estimator: str, value: float, slope: float) -> None:
    logprobs = row(0.0, -1.0)
    loss = EstimatedKl(estimator)(Stated(logprobs), stated_batch(spell("ps"), reference_logprobs=[0.0, -1.0 + D]))
    assert float(loss[0, 1].detach()) == pytest.approx(value, abs=ROUNDING)
    loss[0, 1].backward()
    assert float(logprobs.grad[0, 1]) == pytest.approx(slope, abs=ROUNDING)


def test_the_third_estimator_is_bounded() -> None:
    loss = EstimatedKl("k3")(Stated(row(-20.0, -1.0)), stated_batch(spell("ps"), reference_logprobs=[-1.0, -60.0]))
    assert loss.tolist() == [[10.0, 10.0]]


def test_beyond_its_bound_the_third_estimator_has_no_gradient_and_never_overflows() -> None:
    logprobs = row(-2000.0, -30.0, -1.0)
    EstimatedKl("k3")(
        Stated(logprobs), stated_batch(spell("sss"), reference_logprobs=[-1.0, -1.0, -60.0])
    ).sum().backward()
    assert logprobs.grad.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("part", [EstimatedKl, KlPenalty])
def test_an_unknown_estimator_is_refused(part: type) -> None:
    with pytest.raises(ValueError, match="k1, k2, k3"):
        part(estimator="k4")


def view(table: Tensor, reference: Tensor, token: int) -> tuple[Forward, object]:
    policy = bigram_policy(table)
    batch = collate([sequence([1, token], spell("ps"))], 0, policy.device)
    return Forward(policy, batch, torch.tensor([[False, True]]), {"reference": bigram_policy(reference)}), batch


def exact(table: Tensor, reference: Tensor) -> Tensor:
    p, q = torch.softmax(table[1], -1), torch.softmax(reference[1], -1)
    return (p * (p / q).log()).sum()


def test_the_exact_divergence_of_two_tables() -> None:
    table, reference = random_table(4), random_table(4, seed=1)
    value = ExactKl()(*view(table, reference, token=2))
    assert value[0].tolist() == pytest.approx([0.0, float(exact(table, reference))], abs=ROUNDING)


def test_the_gradient_of_the_exact_divergence() -> None:
    table, reference = random_table(4).requires_grad_(), random_table(4, seed=1)
    forward, batch = view(table.detach(), reference, token=2)
    ExactKl()(forward, batch).sum().backward()
    (expected,) = torch.autograd.grad(exact(table, reference), table)
    torch.testing.assert_close(forward.policy.model.table.grad, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_estimators_average_to_the_exact_divergence(estimator: str) -> None:
    table, reference = random_table(4), random_table(4, seed=1)
    p, q = torch.log_softmax(table[1], -1), torch.log_softmax(reference[1], -1)
    values = EstimatedKl(estimator)(Stated(p[None]), stated_batch(spell("ssss"), reference_logprobs=q.tolist()))[0]
    assert float((p.exp() * values).sum()) == pytest.approx(float(exact(table, reference)), abs=ROUNDING)


def test_equal_policies_do_not_diverge() -> None:
    table = random_table(4)
    assert ExactKl()(*view(table, table, token=2)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("objective", [EstimatedKl(), ExactKl()])
def test_they_are_never_inert(objective) -> None:
    assert not objective.inert(sequence([1, 2], spell("ps"), advantages=0.0))
