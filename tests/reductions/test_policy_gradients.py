"""Where policy-gradient methods coincide."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.sequences import ragged, sequences
from fixtures.stated import Stated, stated_batch
from fixtures.training import accumulate
from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken, weigh
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.forward import Forward
from posttrain.objectives.clipped import Clip, ClippedPolicy, SequenceRatio, TokenRatio
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.kl import EstimatedKl
from posttrain.protocols import Term
from posttrain.types import Origin, TokenBatch, TrainingSequence
from tolerances import GRADIENT, MODEL, ROUNDING, VISIBLE

SAMPLED = frozenset({Origin.SAMPLED})
INFINITE = float("inf")
SHARES = pytest.mark.parametrize("share", [PerToken(), PerSequence(), PerGroup(), PerConstant(3.0)], ids=str)
REWARDS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=2, max_size=8)


@dataclasses.dataclass(frozen=True)
class Reinforce:
    """``-A log p``."""

    needs = frozenset({"advantages"})

    def inert(self, sequence: TrainingSequence) -> bool:
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        return -batch.signals["advantages"] * forward.logprobs


@dataclasses.dataclass(frozen=True)
class ImportanceSampled(Reinforce):
    """``-A p / p_old``."""

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        return -batch.signals["advantages"] * (forward.logprobs - batch.signals["old_logprobs"]).exp()


def on_policy() -> list[TrainingSequence]:
    """Ragged sequences without old log-probabilities."""
    return [dataclasses.replace(s, signals={"advantages": s.signals["advantages"]}) for s in ragged(8, temperature=0.9)]


def gradient(objective, share, rows: list[TrainingSequence]) -> Tensor:
    return accumulate([Term("term", objective, SAMPLED, share)], rows, tiny_policy()).gradient


def equal(one: Tensor, other: Tensor) -> None:
    assert float(one.norm()) > VISIBLE
    torch.testing.assert_close(other, one, rtol=GRADIENT, atol=GRADIENT)


@SHARES
@pytest.mark.parametrize("clip", [Clip(), Clip(0.0, 0.0), Clip(3e-4, 4e-4), Clip(dual=3.0)], ids=str)
def test_on_policy_any_clip_is_reinforce(share, clip: Clip) -> None:
    equal(gradient(ClippedPolicy(clip=clip), share, on_policy()), gradient(Reinforce(), share, on_policy()))


@SHARES
def test_an_infinite_clip_is_importance_sampling(share) -> None:
    unclipped = ClippedPolicy(clip=Clip(INFINITE, INFINITE))
    equal(gradient(unclipped, share, ragged(8)), gradient(ImportanceSampled(), share, ragged(8)))


def test_a_finite_clip_is_not() -> None:
    clipped, unclipped = (
        gradient(objective, PerToken(), ragged(8)) for objective in (ClippedPolicy(), ImportanceSampled())
    )
    assert float((clipped - unclipped).norm()) > VISIBLE


def test_on_policy_a_sequence_ratio_has_the_gradient_of_the_sequence_mean() -> None:
    by_sequence = gradient(ClippedPolicy(SequenceRatio()), PerSequence(), on_policy())
    equal(by_sequence, gradient(Reinforce(), PerSequence(), on_policy()))


def test_a_sequence_of_one_sampled_token_has_its_tokens_ratio() -> None:
    log_ratio = torch.tensor([[0.7], [-0.4]], dtype=torch.float64)
    members = torch.ones(2, 1, dtype=torch.bool)
    assert torch.equal(SequenceRatio()(log_ratio, members), TokenRatio()(log_ratio, members))


@given(values=REWARDS)
def test_leaving_one_out_is_centring_times_g_over_g_minus_one(values: list[float]) -> None:
    rewards, size = torch.tensor(values, dtype=torch.float64), len(values)
    expected = Centred().relative(rewards) * size / (size - 1)
    torch.testing.assert_close(LeaveOneOut().relative(rewards), expected, rtol=0, atol=ROUNDING)


@given(values=REWARDS)
def test_leaving_one_out_is_the_reward_minus_the_mean_of_the_others(values: list[float]) -> None:
    others = [(sum(values) - r) / (len(values) - 1) for r in values]
    expected = [r - other for r, other in zip(values, others)]
    assert LeaveOneOut().relative(torch.tensor(values, dtype=torch.float64)).tolist() == pytest.approx(
        expected, abs=MODEL
    )


@given(values=REWARDS, scale=st.sampled_from([0.5, 3.0]))
def test_standardising_undoes_a_change_of_scale(values: list[float], scale: float) -> None:
    rewards, credit = torch.tensor(values, dtype=torch.float64), Standardised(0.0)
    torch.testing.assert_close(credit.relative(rewards * scale), credit.relative(rewards), rtol=0, atol=MODEL)


def weights(made: list[TrainingSequence], share) -> list[list[float]]:
    term = Term("term", CrossEntropy(), SAMPLED, share)
    return [s.weights["term"].tolist() for s in weigh(made, [term], lambda number: number)]


@given(made=sequences())
def test_groups_of_one_share_as_sequences_do(made: list[TrainingSequence]) -> None:
    apart = [dataclasses.replace(s, rollout=dataclasses.replace(s.rollout, group=s.uid)) for s in made]
    for one, other in zip(weights(apart, PerGroup()), weights(apart, PerSequence())):
        assert one == pytest.approx(other, abs=ROUNDING)


@given(made=sequences())
def test_one_group_shares_as_tokens_do(made: list[TrainingSequence]) -> None:
    together = [dataclasses.replace(s, rollout=dataclasses.replace(s.rollout, group="all")) for s in made]
    for one, other in zip(weights(together, PerGroup()), weights(together, PerToken())):
        assert one == pytest.approx(other, abs=ROUNDING)


@given(made=sequences())
def test_a_constant_of_the_mean_length_shares_as_tokens_do(made: list[TrainingSequence]) -> None:
    members = sum(int((s.origin == int(Origin.SAMPLED)).sum()) for s in made)
    constant = PerConstant(max(members, 1) / len(made))
    for one, other in zip(weights(made, constant), weights(made, PerToken())):
        assert one == pytest.approx(other, abs=ROUNDING)


def test_the_expected_gradient_of_half_the_square_is_that_of_the_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    p = torch.log_softmax(logits, -1)
    q = torch.log_softmax(reference, -1)
    (exact,) = torch.autograd.grad((p.exp() * (p - q)).sum(), logits, retain_graph=True)
    batch = stated_batch([Origin.SAMPLED] * 4, reference_logprobs=q.tolist())
    estimate = EstimatedKl("k2")(Stated(p[None]), batch)[0]
    (expected,) = torch.autograd.grad((p.exp().detach() * estimate).sum(), logits)
    torch.testing.assert_close(expected, exact, rtol=0, atol=ROUNDING)
