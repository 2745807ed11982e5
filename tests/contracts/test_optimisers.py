"""What every optimiser promises."""

import copy

import pytest
import torch
from torch import Tensor, nn

from fixtures.parts import optimisers
from fixtures.walking import Case
from posttrain.stage import AdamW

OPTIMISERS = pytest.mark.parametrize("case", [*optimisers(), Case(AdamW)], ids=str)
STEPS = 4


def parameters() -> list[nn.Parameter]:
    """A matrix, a vector and a block, in float64."""
    noise = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(torch.randn(shape, generator=noise, dtype=torch.float64)) for shape in ((3, 4), (5,), (2, 3, 2))
    ]


def gradients(step: int) -> list[Tensor]:
    noise = torch.Generator().manual_seed(step + 1)
    return [torch.randn(p.shape, generator=noise, dtype=torch.float64) for p in parameters()]


def update(optimiser: torch.optim.Optimizer, moved: list[nn.Parameter], step: int, rate: float = 0.1) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    for parameter, gradient in zip(moved, gradients(step)):
        parameter.grad = gradient
    optimiser.step()


@OPTIMISERS
def test_it_states_where_gradients_are_cut(case: Case) -> None:
    assert case.construct().clip_norm > 0


@OPTIMISERS
def test_a_first_update_goes_against_the_gradient(case: Case) -> None:
    moved, before = parameters(), parameters()
    update(case.construct().start([{"params": moved, "factor": 1.0}]), moved, 0, rate=1e-3)
    for parameter, old, gradient in zip(moved, before, gradients(0)):
        assert bool(((parameter - old).sign() == -gradient.sign()).all())


@OPTIMISERS
def test_at_a_rate_of_zero_nothing_moves(case: Case) -> None:
    moved = parameters()
    update(case.construct().start([{"params": moved}]), moved, 0, rate=0.0)
    assert all(torch.equal(parameter, old) for parameter, old in zip(moved, parameters()))


@OPTIMISERS
def test_going_on_from_a_saved_state_is_never_having_stopped(case: Case) -> None:
    whole, halves = parameters(), parameters()
    optimiser = case.construct().start([{"params": whole}])
    for step in range(STEPS):
        update(optimiser, whole, step)
    first = case.construct().start([{"params": halves}])
    for step in range(STEPS // 2):
        update(first, halves, step)
    second = case.construct().start([{"params": halves}])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for step in range(STEPS // 2, STEPS):
        update(second, halves, step)
    assert all(torch.equal(one, other) for one, other in zip(whole, halves))


@OPTIMISERS
def test_a_parameter_without_gradient_stays(case: Case) -> None:
    moved = parameters()
    optimiser = case.construct().start([{"params": moved}])
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    moved[0].grad = gradients(0)[0]
    optimiser.step()
    assert torch.equal(moved[1], parameters()[1])
    assert not torch.equal(moved[0], parameters()[0])
