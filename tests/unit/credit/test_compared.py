"""Totals of tokens compared within the group."""

import dataclasses

import pytest
import torch

from fixtures.sequences import judged, sequence, spell
from posttrain.credit.compared import Compared
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.credit.token_rewards import KlPenalty, LogRatio
from posttrain.types import TrainingSequence
from tolerances import ROUNDING


def rows(scores: list[float]) -> list[TrainingSequence]:
    """Groups of two; each row has two sampled tokens whose log-ratios sum to its number, and cost a tenth of that."""
    made = []
    for uid, score in enumerate(scores):
        signals = {
            "sft_logprobs": [0.0, score - 3.0, -1.0],
            "base_logprobs": [0.0, -3.0, -1.0],
            "old_logprobs": [0.0, score - 2.0, -2.0],
            "reference_logprobs": -2.0,
        }
        plain = sequence([1, 2, 3], spell("pss"), uid=uid, group=uid // 2, **signals)
        made.append(dataclasses.replace(plain, rollout=judged(plain.rollout, score)))
    return made


@pytest.mark.parametrize("comparison", [Centred(), LeaveOneOut(), Standardised()], ids=str)
def test_of_verdicts_alone_it_is_the_comparison_itself(comparison) -> None:
    made = rows([1.0, 0.1, 0.5, 0.5])
    found = Compared(penalty=KlPenalty(0.0), comparison=comparison)(made)
    for one, other in zip(found, comparison(made), strict=True):
        assert torch.equal(one["advantages"], other["advantages"])


def test_log_ratios_take_the_place_of_verdicts() -> None:
    made = rows([1.0, 0.1, 0.5, 0.5])
    found = Compared(LogRatio(), KlPenalty(0.0), Centred())(made)
    assert [float(f["advantages"][0]) for f in found] == pytest.approx([0.45, -0.45, 0.0, 0.0], abs=ROUNDING)


def test_the_penalty_is_part_of_the_total() -> None:
    found = Compared(LogRatio(), KlPenalty(0.1), Centred())(rows([1.0, 0.1, 0.5, 0.5]))
    assert [float(f["advantages"][0]) for f in found] == pytest.approx([0.405, -0.405, 0.0, 0.0], abs=ROUNDING)


def test_it_needs_what_its_parts_need() -> None:
    assert Compared(LogRatio(), KlPenalty(0.0)).needs == {"sft_logprobs", "base_logprobs"}
    assert not Compared(LogRatio()).reads_rewards
    assert Compared().reads_rewards
