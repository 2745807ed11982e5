"""What tokens earn, worked by hand."""

import dataclasses
import math

import pytest
import torch

from fixtures.sequences import judged, sequence, spell
from posttrain.credit.token_rewards import KlPenalty, LogRatio, MeanAtEnd, Outcome, SumAtEnd, TokenByToken, sampled
from posttrain.types import TrainingSequence
from tolerances import ROUNDING

TOKENS, PATTERN = [5, 3, 4, 6, 7, 0], "pgsoss"


def row(score: float = 1.0, ended: str = "stop", **signals: list[float]) -> TrainingSequence:
    """A prompt, a given token, a sampled one, an observed one, two sampled ones."""
    made = sequence(TOKENS, spell(PATTERN), **signals)
    return dataclasses.replace(made, rollout=dataclasses.replace(judged(made.rollout, score), ended=ended))


def test_only_sampled_tokens_are_steps() -> None:
    assert sampled(row()).tolist() == [2, 4, 5]


def test_nothing_chose_the_very_first_token() -> None:
    assert sampled(sequence([1, 2], spell("ss"))).tolist() == [1]


@pytest.mark.parametrize(
    ("outcome", "score", "ended", "earned"),
    [
        (Outcome(), 0.7, "stop", 0.7),
        (Outcome(), 0.7, "length", 0.7),
        (Outcome(bound=0.5), 0.7, "stop", 0.5),
        (Outcome(bound=0.5), -0.7, "stop", -0.5),
        (Outcome(cut_off=-1.0), 0.7, "length", -1.0),
        (Outcome(cut_off=-1.0), 0.7, "stop", 0.7),
        (Outcome(bound=0.5, cut_off=-1.0), 0.7, "length", -0.5),
    ],
)
def test_the_verdict_is_earned_by_the_last_sampled_token(
    outcome: Outcome, score: float, ended: str, earned: float
) -> None:
    assert outcome(row(score, ended)).tolist() == [0.0, 0.0, earned]


def test_where_nothing_was_sampled_nothing_is_earned() -> None:
    made = sequence([1, 2, 3], spell("pgg"), sft_logprobs=-1.0, base_logprobs=-2.0, old_logprobs=0.0)
    given = dataclasses.replace(made, rollout=judged(made.rollout, 1.0))
    for part in (Outcome(), LogRatio(), LogRatio(earned=MeanAtEnd()), KlPenalty(towards="sft")):
        assert part(given).tolist() == []


RATIOS = {"sft_logprobs": [9.0, 9.0, -1.0, 9.0, -2.0, -0.5], "base_logprobs": [0.0, 0.0, -3.0, 0.0, -1.5, -8.5]}
"""Log-ratios 2, -0.5 and 8 of the sampled tokens."""


@pytest.mark.parametrize(
    ("part", "earned"),
    [
        (LogRatio(), [0.0, 0.0, 9.5]),
        (LogRatio(earned=MeanAtEnd()), [0.0, 0.0, 9.5 / 3]),
        (LogRatio(earned=TokenByToken()), [2.0, -0.5, 8.0]),
        (LogRatio(bound=5.0), [0.0, 0.0, 6.5]),
        (LogRatio(bound=0.25, earned=TokenByToken()), [0.25, -0.25, 0.25]),
        (LogRatio("base", "sft", earned=SumAtEnd()), [0.0, 0.0, -9.5]),
    ],
)
def test_the_log_ratio_of_two_frozen_policies(part: LogRatio, earned: list[float]) -> None:
    assert part(row(**RATIOS)).tolist() == pytest.approx(earned, abs=ROUNDING)
    assert part.needs == {"sft_logprobs", "base_logprobs"}


def test_an_answer_that_was_cut_off_has_no_end_to_earn_anything() -> None:
    whole = row(**RATIOS)
    signals = {name: value[:-1] for name, value in whole.signals.items()}
    cut = dataclasses.replace(whole, tokens=whole.tokens[:-1], origin=whole.origin[:-1], signals=signals)
    assert LogRatio()(cut).tolist() == pytest.approx([0.0, 9.5 - 8.0], abs=ROUNDING)


D = math.log(2)  # the frozen policy finds the token twice as likely


@pytest.mark.parametrize(("estimator", "cost"), [("k1", -D), ("k2", D * D / 2), ("k3", 2 - D - 1)])
def test_every_sampled_token_pays_for_leaving(estimator: str, cost: float) -> None:
    made = row(old_logprobs=[7.0, 7.0, -1.0, 7.0, -1.0, -3.0], reference_logprobs=[0.0, 0.0, -1 + D, 0.0, -1.0, -3 + D])
    paid = KlPenalty(0.5, estimator)(made)
    assert paid.tolist() == pytest.approx([-0.5 * cost, 0.0, -0.5 * cost], abs=ROUNDING)


def test_without_a_coefficient_there_is_neither_a_penalty_nor_a_policy_to_keep() -> None:
    assert KlPenalty(0.0).needs == frozenset()
    assert torch.equal(KlPenalty(0.0)(row()), torch.zeros(3, dtype=torch.float64))
    assert KlPenalty(0.1, towards="sft").needs == {"old_logprobs", "sft_logprobs"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outcome(bound=0.0), "bound must be above 0"),
        (lambda: LogRatio(bound=-1.0), "bound must be above 0"),
        (lambda: LogRatio("base"), "always 1"),
        (lambda: KlPenalty(-0.1), "cannot be negative"),
    ],
)
def test_what_could_not_mean_anything_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
