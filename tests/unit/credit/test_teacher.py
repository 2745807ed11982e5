"""A teacher's log-ratio as advantage."""

import pytest
import torch

from fixtures.sequences import sequence, spell
from posttrain.credit.teacher import TeacherRatio
from tolerances import ROUNDING


def test_raw_immediate_and_on_sampled_tokens_only() -> None:
    made = sequence(
        [5, 3, 4, 6, 0],
        spell("pgsos"),
        teacher_logprobs=[0.0, -9.0, -1.0, -9.0, -3.0],
        old_logprobs=[0.0, -1.0, -2.5, -1.0, -0.5],
    )
    (found,) = TeacherRatio()([made])
    assert found["advantages"].tolist() == pytest.approx([0.0, 0.0, 1.5, 0.0, -2.5], abs=ROUNDING)


def test_one_row_does_not_know_of_another() -> None:
    rows = [sequence([1, 2], spell("ps"), uid=uid, teacher_logprobs=-1.0, old_logprobs=-1.0 - uid) for uid in range(3)]
    together = [f["advantages"] for f in TeacherRatio()(rows)]
    assert all(torch.equal(a, TeacherRatio()([row])[0]["advantages"]) for a, row in zip(together, rows))
    assert [float(a[1]) for a in together] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("logprob", "advantage"), [(-19.0, -18.0), (-25.0, -19.0), (float("-inf"), -19.0)])
def test_what_the_teacher_never_says_costs_no_more_than_the_floor(logprob: float, advantage: float) -> None:
    made = sequence([1, 2], spell("ps"), teacher_logprobs=[0.0, logprob], old_logprobs=[0.0, -1.0])
    assert TeacherRatio()([made])[0]["advantages"].tolist() == [0.0, advantage]


def test_another_frozen_policy_may_teach() -> None:
    assert TeacherRatio("expert").needs == {"expert_logprobs", "old_logprobs"}
