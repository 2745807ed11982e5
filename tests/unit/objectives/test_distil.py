"""Divergences from a teacher: their gradients as formulas, what they seek, and what they cannot see."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table
from fixtures.sequences import sequence, spell
from posttrain import forward as forward_module
from posttrain.batching import collate
from posttrain.forward import Forward
from posttrain.objectives.distil import ForwardKl, HardTarget, JensenShannon, ReverseKl
from tolerances import ROUNDING, VISIBLE

EVERY = pytest.mark.parametrize("objective", [ReverseKl(), ForwardKl(), HardTarget(), JensenShannon()], ids=str)
TABLE, TAUGHT = random_table(5), random_table(5, seed=1)


def losses(objective, table: Tensor, taught: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Of token 2 after token 1: the loss, its gradient along the policy's and along the teacher's logits."""
    student, teacher = bigram_policy(table), bigram_policy(taught)
    batch = collate([sequence([1, 2], spell("ps"), temperature=temperature)], 0, student.device)
    loss = objective(Forward(student, batch, torch.tensor([[False, True]]), {"teacher": teacher}), batch)
    assert float(loss[0, 0].detach()) == 0.0
    loss.sum().backward()
    seen = teacher.model.table.grad
    return loss[0, 1].detach(), student.model.table.grad[1], torch.zeros(5) if seen is None else seen


def p(table: Tensor) -> Tensor:
    return torch.softmax(table[1], -1)


def reverse(table: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    own, other = p(table), p(taught)
    value = (own * (own / other).log()).sum()
    return value, own * ((own / other).log() - value)


def forward(table: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    own, other = p(table), p(taught)
    return (other * (other / own).log()).sum(), own - other


def hard(table: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    own, choice = p(table), int(taught[1].argmax())
    return -own[choice].log(), own - torch.eye(5, dtype=own.dtype)[choice]


def even(table: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    own, other = p(table), p(taught)
    mixture = (own + other) / 2
    to_own = (own * (own / mixture).log()).sum()
    value = (to_own + (other * (other / mixture).log()).sum()) / 2
    return value, own * ((own / mixture).log() - to_own) / 2


@pytest.mark.parametrize(
    ("objective", "formula"),
    [(ReverseKl(), reverse), (ForwardKl(), forward), (HardTarget(), hard), (JensenShannon(), even)],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_value_and_gradient_are_the_formulas(objective, formula: Callable) -> None:
    loss, gradient, _ = losses(objective, TABLE, TAUGHT)
    value, expected = formula(TABLE, TAUGHT)
    assert float(loss) == pytest.approx(float(value), abs=ROUNDING)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=ROUNDING)
    assert float(gradient.abs().max()) > VISIBLE


@EVERY
def test_both_distributions_are_at_the_sampling_temperature(objective) -> None:
    hot, gradient, _ = losses(objective, TABLE, TAUGHT, temperature=2.0)
    cooled, of_tempered, _ = losses(objective, TABLE / 2, TAUGHT / 2)
    assert float(hot) == pytest.approx(float(cooled), abs=ROUNDING)
    torch.testing.assert_close(gradient, of_tempered / 2, rtol=0, atol=ROUNDING)


@EVERY
def test_a_constant_on_all_of_a_teachers_logits_changes_nothing(objective) -> None:
    for one, other in zip(losses(objective, TABLE, TAUGHT), losses(objective, TABLE, TAUGHT + 7.0), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=ROUNDING)


@EVERY
def test_nothing_reaches_the_teacher(objective) -> None:
    assert not bool(losses(objective, TABLE, TAUGHT)[2].any())


@pytest.mark.parametrize("objective", [ReverseKl(), ForwardKl(), JensenShannon(), JensenShannon(0.1)], ids=str)
def test_at_the_teacher_there_is_nothing_left_to_learn(objective) -> None:
    loss, gradient, _ = losses(objective, TABLE, TABLE)
    assert float(loss) == pytest.approx(0.0, abs=ROUNDING)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=ROUNDING)
    assert float(losses(objective, TABLE, TAUGHT)[0]) > VISIBLE


def test_of_a_teacher_without_doubt_the_hard_target_is_the_forward_divergence() -> None:
    sure = torch.eye(5, dtype=torch.float64) * 1000
    for one, other in zip(losses(HardTarget(), TABLE, sure), losses(ForwardKl(), TABLE, sure), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=ROUNDING)


def test_the_mixture_s_ends_are_the_two_divergences() -> None:
    end = 1e-6
    forwards = float(losses(JensenShannon(end), TABLE, TAUGHT)[0]) / end
    backwards = float(losses(JensenShannon(1 - end), TABLE, TAUGHT)[0]) / end
    assert forwards == pytest.approx(float(losses(ForwardKl(), TABLE, TAUGHT)[0]), rel=VISIBLE)
    assert backwards == pytest.approx(float(losses(ReverseKl(), TABLE, TAUGHT)[0]), rel=VISIBLE)


def test_even_mixing_is_symmetric_and_bounded() -> None:
    assert float(losses(JensenShannon(), TABLE, TAUGHT)[0]) == pytest.approx(
        float(losses(JensenShannon(), TAUGHT, TABLE)[0]), abs=ROUNDING
    )
    opposed = torch.eye(5, dtype=torch.float64) * 1000
    assert float(losses(JensenShannon(), opposed, opposed.roll(1, 1))[0]) == pytest.approx(math.log(2), abs=ROUNDING)


@pytest.mark.parametrize(("mixing", "end"), [(0.0, ForwardKl()), (1.0, ReverseKl())])
def test_at_its_very_ends_it_is_them(mixing: float, end) -> None:
    for one, other in zip(losses(end, TABLE, TAUGHT), losses(JensenShannon(mixing), TABLE, TAUGHT), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("mixing", [-0.1, 1.1])
def test_parts_that_make_no_whole_are_refused(mixing: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        JensenShannon(mixing)


@EVERY
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, objective) -> None:
    def of_a_row() -> tuple[Tensor, Tensor]:
        student = bigram_policy(TABLE)
        batch = collate([sequence([1, 2, 3, 4, 0], spell("pssss"))], 0, student.device)
        positions = torch.tensor([[False, True, True, True, True]])
        loss = objective(Forward(student, batch, positions, {"teacher": bigram_policy(TAUGHT)}), batch)
        loss.sum().backward()
        return loss.detach(), student.model.table.grad

    whole = of_a_row()
    monkeypatch.setattr(forward_module, "POSITIONS_AT_ONCE", 1)
    monkeypatch.setitem(forward_module.LOGITS_AT_ONCE, "cpu", 10)
    monkeypatch.setattr(forward_module, "LOGITS_HELD", 10)
    for one, other in zip(whole, of_a_row(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=ROUNDING)


def bell(middle: float) -> Tensor:
    """Float["1 21"]: log-probabilities of 21 places, one mode of standard deviation 1.5."""
    places = torch.arange(21, dtype=torch.float64)
    return torch.log_softmax(-((places - middle) ** 2) / (2 * 1.5**2), -1)[None]


def best(quantity: Callable[[Tensor, Tensor], Tensor], teacher: Tensor) -> float:
    middles = [m / 4 for m in range(81)]
    return min(middles, key=lambda m: float(quantity(bell(m), teacher)))


def test_before_two_modes_one_divergence_chooses_and_the_other_stands_between() -> None:
    teacher = torch.logaddexp(bell(5.0) + math.log(0.55), bell(15.0) + math.log(0.45))
    tables: dict[str, float] = {}
    for name, objective in (("reverse", ReverseKl()), ("forward", ForwardKl())):
        tables[name] = best(lambda own, taught, part=objective: of_logits(part, own, taught), teacher)
    assert tables["reverse"] == 5.0
    assert 9.0 <= tables["forward"] <= 10.0


def of_logits(objective, own: Tensor, taught: Tensor) -> Tensor:
    """The loss of two single distributions over the vocabulary, whatever the tokens."""
    student, teacher = (bigram_policy(logits.expand(21, 21)) for logits in (own, taught))
    batch = collate([sequence([1, 2], spell("ps"))], 0, student.device)
    with torch.no_grad():
        return objective(Forward(student, batch, torch.tensor([[False, True]]), {"teacher": teacher}), batch)[0, 1]


@EVERY
def test_it_is_never_inert(objective) -> None:
    assert not objective.inert(sequence([1, 2], spell("ps")))


def test_another_frozen_policy_may_teach() -> None:
    assert all(part("expert").needs == {"policy/expert"} for part in (ReverseKl, ForwardKl, HardTarget))
    assert JensenShannon(teacher="expert").needs == {"policy/expert"}
