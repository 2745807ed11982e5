"""Quotas, blind choice, and choice by loss."""

import pytest
import torch

from fixtures.sequences import NOW, sequence, spell
from posttrain.selection.baselines import AtRandom, HighestLoss, mean_loss
from posttrain.selection.candidates import Quota, emphasised, written
from posttrain.types import Progress, TrainingSequence
from tolerances import STANDARD_ERRORS


def rows(losses: list[float]) -> list[TrainingSequence]:
    return [
        sequence([5, 3, 4], spell("pgg"), uid=uid, group=uid, old_logprobs=[0.0, -loss, -loss])
        for uid, loss in enumerate(losses)
    ]


def uids(sequences: list[TrainingSequence]) -> list[int]:
    return [s.uid for s in sequences]


@pytest.mark.parametrize(
    ("share", "candidates", "expected"), [(0.25, 4, 1), (0.25, 3, 1), (0.28, 25, 7), (1.0, 3, 3), (1e-300, 5, 1)]
)
def test_a_quota_rounds_up(share: float, candidates: int, expected: int) -> None:
    assert Quota(share, candidates).count(candidates) == expected


def test_the_best_stand_in_their_order_and_the_first_of_equals_wins() -> None:
    assert Quota(0.5, 4).best([1.0, 3.0, 1.0, 3.0]) == [1, 3]
    assert Quota(0.75, 4).best([1.0, 3.0, 1.0, 3.0]) == [0, 1, 3]


@pytest.mark.parametrize("settings", [{"share": 0.0}, {"share": 1.5}, {"candidates": 0}], ids=str)
def test_a_quota_without_meaning_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share|candidates"):
        Quota(**settings)


def test_the_highest_losses_of_each_batch_are_chosen() -> None:
    chosen = HighestLoss(Quota(0.5, 4)).start(0)(rows([1.0, 4.0, 3.0, 2.0, 0.1, 0.3]), None, NOW)
    assert uids(chosen) == [1, 2, 5]


def test_a_loss_is_the_mean_over_the_answer() -> None:
    (row,) = rows([2.0])
    assert mean_loss(row) == pytest.approx(2.0)
    row.signals["old_logprobs"][1] = float("nan")
    assert mean_loss(row) == float("inf")


def test_an_answer_without_tokens_has_nothing_to_lose() -> None:
    empty = sequence([3, 4, 5], spell("ppp"), uid=7, old_logprobs=-9.0)
    assert mean_loss(empty) == 0.0
    assert uids(HighestLoss(Quota(0.5, 4)).start(0)([empty, *rows([1.0])], None, NOW)) == [0]


def test_everybody_is_drawn_equally_often_and_anew_in_every_step() -> None:
    selection, candidates = AtRandom(Quota(0.25, 4)), rows([0.0] * 4)
    drawn = [uids(selection.start(0)(candidates, None, Progress(step, 900, 0)))[0] for step in range(900)]
    counts = torch.bincount(torch.tensor(drawn), minlength=4).double()
    assert float((counts - 225).abs().max()) < STANDARD_ERRORS * (900 * 0.25 * 0.75) ** 0.5


def test_the_answer_is_what_was_given_or_sampled() -> None:
    row = sequence([5, 3, 4, 2, 1], spell("pgsog"))
    assert written(row).tolist() == [False, True, True, False, True]
    assert not bool(written(sequence([5, 3], spell("gg")))[0])  # nothing predicts the first token


def test_emphases_multiply() -> None:
    row = emphasised(rows([1.0])[0], "likelihood", torch.tensor([1.0, 2.0, 0.5]))
    assert row.signals["emphasis/likelihood"].tolist() == [1.0, 2.0, 0.5]
    again = emphasised(row, "likelihood", torch.tensor([3.0, 3.0, 0.0]))
    assert again.signals["emphasis/likelihood"].tolist() == [3.0, 6.0, 0.0]
