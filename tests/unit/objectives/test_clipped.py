"""The clipped surrogate in numbers."""

import dataclasses
import math

import pytest
import torch

from fixtures.sequences import sequence, spell
from fixtures.stated import Stated, row, stated_batch
from fixtures.training import accumulate
from posttrain.batching import PerToken
from posttrain.objectives.clipped import Clip, ClippedPolicy, SequenceRatio, TokenRatio
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.types import Origin
from tolerances import ROUNDING

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.1, 2.0, -2.2, -2.0),  # inside
        (1.5, 2.0, -2.4, 0.0),  # a good token is not pushed beyond 1.2
        (0.5, 2.0, -1.0, -2.0),  # … but pulled back up
        (0.5, -2.0, 1.6, 0.0),  # a bad token is not pushed below 0.8
        (1.5, -2.0, 3.0, 2.0),  # … but pulled back down
        (1.0, 2.0, -2.0, -2.0),
        (1.0, -2.0, 2.0, 2.0),
    ],
)
def test_clipping_of_both_signs(ratio: float, advantage: float, loss: float, slope: float) -> None:
    r = torch.tensor([[ratio]], dtype=torch.float64, requires_grad=True)
    value = Clip(0.2, 0.2)(r, torch.tensor([[advantage]], dtype=torch.float64))
    assert float(value.detach()) == pytest.approx(loss, abs=ROUNDING)
    value.sum().backward()
    assert float(r.grad) == pytest.approx(slope, abs=ROUNDING)


@pytest.mark.parametrize(("ratio", "loss"), [(1.25, -1.25), (1.5, -1.28), (0.75, -0.75)])
def test_the_two_ends_of_the_interval_are_separate(ratio: float, loss: float) -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    assert float(Clip(0.2, 0.28)(ratio * one, one)) == pytest.approx(loss, abs=ROUNDING)


@pytest.mark.parametrize(("ratio", "advantage", "loss"), [(5.0, -2.0, 6.0), (2.0, -2.0, 4.0), (5.0, 2.0, -2.4)])
def test_the_dual_clip_bounds_what_a_bad_token_can_cost(ratio: float, advantage: float, loss: float) -> None:
    one = torch.ones(1, 1, dtype=torch.float64)
    assert float(Clip(dual=3.0)(ratio * one, advantage * one)) == pytest.approx(loss, abs=ROUNDING)


@pytest.mark.parametrize("settings", [{"low": -0.1}, {"high": -0.1}, {"dual": 1.0}])
def test_impossible_clips_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="clip needs"):
        Clip(**settings)


def test_a_token_ratio_is_each_tokens_own() -> None:
    log_ratio = row(0.0, math.log(2), math.log(3))
    assert TokenRatio()(log_ratio, torch.ones(1, 3, dtype=torch.bool)).tolist()[0] == pytest.approx([1, 2, 3])


def test_a_sequence_ratio_is_the_geometric_mean_of_the_members() -> None:
    log_ratio = row(9.0, math.log(2), math.log(8))
    members = torch.tensor([[False, True, True]])
    assert SequenceRatio()(log_ratio, members).tolist()[0] == pytest.approx([4, 4, 4])


def test_a_row_without_members_has_ratio_one() -> None:
    assert SequenceRatio()(row(9.0, 9.0), torch.zeros(1, 2, dtype=torch.bool)).tolist() == [[1, 1]]


PATTERN = spell("pgss")
ADVANTAGE = [2.0] * 4


def test_without_old_logprobs_the_ratio_is_one_and_the_gradient_that_of_the_logprob() -> None:
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    loss = ClippedPolicy()(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGE))
    assert loss[0, 2:].tolist() == [-2.0, -2.0]
    loss.sum().backward()
    assert logprobs.grad.tolist() == [[0.0, 0.0, -2.0, -2.0]]


def test_with_old_logprobs_the_ratio_moves() -> None:
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    old = [0.0, -1.0, -2.0 - math.log(1.1), -3.0 + math.log(2)]
    loss = ClippedPolicy()(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGE, old_logprobs=old))
    assert loss[0, 2:].tolist() == pytest.approx([-2.2, -1.0], abs=ROUNDING)


def test_given_tokens_never_move_a_sequence_ratio() -> None:
    objective = ClippedPolicy(SequenceRatio(), Clip(INFINITE, INFINITE))
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    old = [5.0, 5.0, -2.0 - math.log(2), -3.0 - math.log(8)]
    loss = objective(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGE, old_logprobs=old))
    assert loss[0, 2:].tolist() == pytest.approx([-8.0, -8.0], abs=ROUNDING)
    loss[0, 2:].sum().backward()
    assert logprobs.grad[0].tolist() == pytest.approx([0.0, 0.0, -8.0, -8.0], abs=ROUNDING)


def test_given_tokens_have_a_ratio_where_they_are_named() -> None:
    objective = ClippedPolicy(clip=Clip(0.2, 0.2), origins=("given", "sampled"))
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    old = [5.0, -1.0 - math.log(1.1), -2.0 - math.log(2), -3.0 + math.log(2)]
    loss = objective(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGE, old_logprobs=old))
    assert loss[0, 1:].tolist() == pytest.approx([-2.2, -2.4, -1.0], abs=ROUNDING)
    loss[0, 1:].sum().backward()
    assert logprobs.grad[0, 1:].tolist() == pytest.approx([-2.2, 0.0, -1.0], abs=ROUNDING)


def test_a_sequence_ratio_is_over_all_tokens_that_are_named() -> None:
    objective = ClippedPolicy(SequenceRatio(), Clip(INFINITE, INFINITE), ("given", "sampled"))
    old = [5.0, -1.0, -2.0 - math.log(2), -3.0 - math.log(4)]
    loss = objective(Stated(row(0.0, -1.0, -2.0, -3.0)), stated_batch(PATTERN, advantages=ADVANTAGE, old_logprobs=old))
    assert loss[0, 1:].tolist() == pytest.approx([-4.0] * 3, abs=ROUNDING)


def test_tokens_that_are_not_named_have_no_gradient() -> None:
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    ClippedPolicy(origins=("given",))(Stated(logprobs), stated_batch(PATTERN, advantages=ADVANTAGE)).sum().backward()
    assert logprobs.grad.tolist() == [[0.0, -2.0, 0.0, 0.0]]


def test_a_token_that_is_not_predicted_has_ratio_one_however_improbable_it_was(policy: Policy) -> None:
    """Else ``exp(0 - old)`` overflows, and infinity times weight 0 is no number."""
    made = sequence([2, 3, 4, 5], spell("pgss"), advantages=1.0, old_logprobs=[0.0, -1e4, -1.0, -1.0])
    emphasised = dataclasses.replace(
        made, signals={**made.signals, "emphasis/term": torch.tensor([1.0, 0.0, 1.0, 1.0])}
    )
    term = Term(
        "term",
        ClippedPolicy(SequenceRatio(), origins=("given", "sampled")),
        frozenset({Origin.GIVEN, Origin.SAMPLED}),
        PerToken(),
    )
    assert bool(accumulate([term], [emphasised], policy).gradient.isfinite().all())


def test_a_surrogate_of_nobodys_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="origins names nobody"):
        ClippedPolicy(origins=())


@pytest.mark.parametrize(("advantage", "inert"), [(0.0, True), (0.5, False), (-0.5, False)])
def test_only_zero_advantages_are_inert(advantage: float, inert: bool) -> None:
    assert ClippedPolicy().inert(sequence([1, 2], spell("ps"), advantages=advantage)) is inert
