"""Generalised advantages worked by hand, and whitening."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from fixtures.sequences import judged, sequence, spell
from posttrain.credit.gae import Gae, Whitened, generalised_advantages
from posttrain.credit.token_rewards import KlPenalty, LogRatio, Outcome, TokenByToken
from posttrain.types import TrainingSequence
from tolerances import ROUNDING

RAW = Gae(penalty=KlPenalty(0.0), whitening=None)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_worked_by_hand() -> None:
    # d = (1 + 0.9 - 0.5, -0.9 - 1, 2 + 1) = (1.4, -1.9, 3), then A = d + 0.45 A of the next.
    found = generalised_advantages(numbers(1, 0, 2), numbers(0.5, 1, -1), gamma=0.9, lam=0.5)
    assert found.tolist() == pytest.approx([1.1525, -0.55, 3.0], abs=ROUNDING)


def test_looking_no_further_than_the_next_value() -> None:
    found = generalised_advantages(numbers(1, 0, 2), numbers(0.5, 1, -1), gamma=0.9, lam=0.0)
    assert found.tolist() == pytest.approx([1.4, -1.9, 3.0], abs=ROUNDING)


def test_looking_all_the_way_is_the_discounted_return_less_the_value() -> None:
    found = generalised_advantages(numbers(1, 0, 2), numbers(0.5, 1, -1), gamma=0.9, lam=1.0)
    assert found.tolist() == pytest.approx([1 + 0.81 * 2 - 0.5, 0.9 * 2 - 1, 2 + 1], abs=ROUNDING)


def test_no_steps_have_no_advantages() -> None:
    assert generalised_advantages(numbers(), numbers(), 1.0, 0.95).shape == (0,)


def row(pattern: str, values: list[float], score: float = 1.0, uid: int = 0, **signals: list[float]):
    made = sequence(range(len(pattern)), spell(pattern), uid=uid, old_values=values, **signals)
    return dataclasses.replace(made, rollout=judged(made.rollout, score))


def test_what_stands_between_sampled_tokens_is_stepped_over() -> None:
    (plain,) = RAW([row("psss", [9.0, 0.5, 1.0, -1.0], 2.0)])
    (parted,) = RAW([row("pgsoogsos", [9.0, 8.0, 0.5, 7.0, 6.0, 5.0, 1.0, 4.0, -1.0], 2.0)])
    for name in ("advantages", "returns"):
        assert parted[name][[2, 6, 8]].tolist() == plain[name][1:].tolist()
        assert parted[name][[0, 1, 3, 4, 5, 7]].tolist() == [0.0] * 6


def test_returns_are_advantages_over_the_old_values_before_any_whitening() -> None:
    rows = [row("pss", [0.0, 0.5, 1.0], 1.0), row("psss", [0.0, 0.1, 0.2, 0.3], 0.0, uid=1)]
    for raw, whitened in zip(RAW(rows), dataclasses.replace(RAW, whitening=Whitened())(rows), strict=True):
        assert torch.equal(raw["returns"], whitened["returns"])
        assert not torch.equal(raw["advantages"], whitened["advantages"])
    sampled = rows[0].origin == 2
    expected = RAW(rows)[0]["advantages"] + rows[0].signals["old_values"]
    assert torch.equal(RAW(rows)[0]["returns"][sampled], expected[sampled])


def test_penalties_on_the_way_and_the_score_at_the_end() -> None:
    made = row("pss", [0.0] * 3, 1.0, old_logprobs=[0.0, -1.0, -2.0], reference_logprobs=[0.0, -3.0, -1.0])
    credit = Gae(penalty=KlPenalty(0.1), lam=1.0, whitening=None)
    (found,) = credit([made])
    # the first token cost 0.1 (-1 + 3), the second earned 0.1
    assert found["advantages"].tolist() == pytest.approx([0.0, -0.2 + 1.1, 1.1], abs=ROUNDING)


def test_undiscounted_it_does_not_matter_when_a_log_ratio_is_earned() -> None:
    signals = {"sft_logprobs": [0.0, -1.0, -2.0, -0.5], "base_logprobs": [0.0, -3.0, -1.5, -0.1]}
    made = row("psss", [0.0] * 4, **signals)
    credits = [
        Gae(LogRatio(earned=earned), KlPenalty(0.0), lam=1.0, whitening=None)
        for earned in (LogRatio().earned, TokenByToken())
    ]
    once, spread = (credit([made])[0]["returns"].tolist() for credit in credits)
    assert once[1] == pytest.approx(spread[1], abs=ROUNDING)
    assert once[1:] == pytest.approx([1.1] * 3, abs=ROUNDING)
    assert spread[1:] == pytest.approx([1.1, -0.9, -0.4], abs=ROUNDING)


def test_an_answer_that_was_cut_off_ends_like_any_other() -> None:
    made = row("pss", [0.0, 0.5, 1.0], 0.3)
    cut = dataclasses.replace(made, rollout=dataclasses.replace(made.rollout, ended="length"))
    assert torch.equal(RAW([cut])[0]["advantages"], RAW([made])[0]["advantages"])
    (punished,) = dataclasses.replace(RAW, outcome=Outcome(cut_off=-1.0), lam=1.0)([cut])
    assert punished["returns"].tolist() == pytest.approx([0.0, -1.0, -1.0], abs=ROUNDING)


def test_a_sequence_without_sampled_tokens_is_left_alone() -> None:
    given, answered = row("pgg", [1.0] * 3, 0.5), row("pss", [0.0, 0.1, 0.2], 1.0, uid=1)
    alone = Gae(penalty=KlPenalty(0.0))([answered])
    first, second = Gae(penalty=KlPenalty(0.0))([given, answered])
    assert not bool(first["advantages"].any() or first["returns"].any())
    assert torch.equal(second["advantages"], alone[0]["advantages"])


def test_whitening_over_all_sampled_tokens_of_the_step() -> None:
    rows = [row("pgss", [0.0, 3.0, 0.5, 1.0], 1.0), row("pso", [0.0, 0.1, 8.0], -1.0, uid=1)]
    raw = torch.cat([found["advantages"][s.origin == 2] for found, s in zip(RAW(rows), rows)])
    whitened = [found["advantages"] for found in dataclasses.replace(RAW, whitening=Whitened())(rows)]
    expected = (raw - raw.mean()) / math.sqrt(float(raw.var(correction=1)) + 1e-8)
    assert torch.cat([w[s.origin == 2] for w, s in zip(whitened, rows)]).tolist() == pytest.approx(
        expected.tolist(), abs=ROUNDING
    )
    assert all(not bool(w[s.origin != 2].any()) for w, s in zip(whitened, rows))


def test_tokens_of_a_long_row_count_as_much_as_those_of_a_short_one() -> None:
    short, long = Whitened(0.0)([numbers(1.0), numbers(0.0, 0.0, 0.0)])
    assert short.tolist() == pytest.approx([1.5])
    assert long.tolist() == pytest.approx([-0.5] * 3)


@pytest.mark.parametrize("advantages", [[numbers(0.3, 0.3), numbers(0.3)], [numbers(0.7)], [numbers(), numbers()]])
def test_advantages_that_say_nothing_are_exactly_zero(advantages: list[Tensor]) -> None:
    assert [w.tolist() for w in Whitened()(advantages)] == [[0.0] * len(a) for a in advantages]


@pytest.mark.parametrize(
    ("credit", "needs", "reads"),
    [
        (Gae(), {"old_values", "old_logprobs", "reference_logprobs"}, True),
        (RAW, {"old_values"}, True),
        (Gae(LogRatio(), KlPenalty(0.0)), {"old_values", "sft_logprobs", "base_logprobs"}, False),
        (
            Gae(LogRatio(), KlPenalty(towards="sft")),
            {"old_values", "old_logprobs", "sft_logprobs", "base_logprobs"},
            False,
        ),
    ],
)
def test_it_needs_what_its_parts_need(credit: Gae, needs: set[str], reads: bool) -> None:
    assert (credit.needs, credit.reads_rewards, credit.compares) == (needs, reads, False)


@pytest.mark.parametrize("settings", [{"gamma": 1.1}, {"lam": -0.1}])
def test_a_discount_outside_the_unit_interval_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Gae(**settings)


def one(sequences: list[TrainingSequence], credit: Gae) -> Tensor:
    return torch.cat([found["advantages"] for found in credit(sequences)])


def test_a_critic_that_is_right_leaves_no_advantage() -> None:
    assert not bool(one([row("psss", [0.0, 0.4, 0.4, 0.4], 0.4)], RAW).any())
