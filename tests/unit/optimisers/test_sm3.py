"""SM3 worked by hand, on whole matrices and on entries of one."""

import pytest
import torch
from torch import Tensor, nn

from posttrain.optimisers.sm3 import Place, Sm3, Sm3Optimizer
from tolerances import ROUNDING

RATE = 0.1


def start(values: Tensor, **settings: float) -> tuple[Sm3Optimizer, nn.Parameter]:
    parameter = nn.Parameter(values.double())
    optimiser = Sm3(**{"epsilon": 0.0, **settings}).start([{"params": [parameter]}])
    for group in optimiser.param_groups:
        group["lr"] = RATE
    return optimiser, parameter


def update(optimiser: Sm3Optimizer, parameter: nn.Parameter, gradient: list) -> Tensor:
    before = parameter.detach().clone()
    parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    optimiser.step()
    return (parameter.detach() - before) / -RATE


def test_two_updates_of_a_matrix() -> None:
    optimiser, matrix = start(torch.zeros(2, 2))
    first = update(optimiser, matrix, [[3.0, 1.0], [2.0, 1.0]])
    torch.testing.assert_close(first, torch.ones(2, 2, dtype=torch.float64), rtol=0, atol=ROUNDING)
    rows, columns = optimiser.accumulators(matrix)
    assert (rows.tolist(), columns.tolist()) == ([9.0, 4.0], [9.0, 1.0])
    second = update(optimiser, matrix, [[4.0, 1.0], [0.0, 2.0]])
    u = torch.tensor([[9.0 + 16, 1.0 + 1], [4.0 + 0, 1.0 + 4]], dtype=torch.float64)
    expected = torch.tensor([[4.0, 1.0], [0.0, 2.0]], dtype=torch.float64) / u.sqrt()
    torch.testing.assert_close(second, expected, rtol=0, atol=ROUNDING)
    assert (rows.tolist(), columns.tolist()) == ([25.0, 5.0], [25.0, 5.0])


def test_entries_of_a_matrix_see_only_each_other() -> None:
    optimiser, entries = start(torch.zeros(3))
    place = Place(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 2]), torch.Size((2, 3)))
    optimiser.place(entries, place)
    update(optimiser, entries, [3.0, 1.0, 2.0])
    rows, columns = optimiser.accumulators(entries)
    assert (rows.tolist(), columns.tolist()) == ([9.0, 4.0], [9.0, 0.0, 4.0])
    step = update(optimiser, entries, [0.0, 1.0, 1.0])
    assert step.tolist() == pytest.approx(
        [0.0, 1 / 5**0.5, 1 / 5**0.5], abs=ROUNDING
    )  # u = min(9, 4) + 1, min(4, 4) + 1
    assert (rows.tolist(), columns.tolist()) == ([9.0, 5.0], [9.0, 0.0, 5.0])


def test_all_entries_of_a_matrix_are_the_matrix() -> None:
    noise = torch.Generator().manual_seed(0)
    whole, matrix = start(torch.zeros(3, 4))
    placed, entries = start(torch.zeros(12))
    placed.place(entries, Place(torch.arange(12) // 4, torch.arange(12) % 4, torch.Size((3, 4))))
    for _ in range(5):
        gradient = torch.randn(3, 4, generator=noise, dtype=torch.float64)
        update(whole, matrix, gradient.tolist())
        update(placed, entries, gradient.flatten().tolist())
    torch.testing.assert_close(entries.view(3, 4), matrix, rtol=0, atol=ROUNDING)


def test_what_is_accumulated_bounds_the_squares_and_never_falls() -> None:
    noise = torch.Generator().manual_seed(0)
    optimiser, matrix = start(torch.zeros(3, 4))
    known = [a.clone() for a in optimiser.accumulators(matrix)]
    sums = torch.zeros(3, 4, dtype=torch.float64)
    for _ in range(6):
        gradient = torch.randn(3, 4, generator=noise, dtype=torch.float64)
        update(optimiser, matrix, gradient.tolist())
        sums += gradient**2
        rows, columns = optimiser.accumulators(matrix)
        assert bool((torch.minimum(rows[:, None], columns) >= sums).all())  # more than AdaGrad would remember
        assert all(bool((new >= old).all()) for new, old in zip((rows, columns), known))
        known = [rows.clone(), columns.clone()]


def test_on_a_vector_it_is_adagrad() -> None:
    optimiser, vector = start(torch.zeros(2))
    update(optimiser, vector, [3.0, 1.0])
    assert update(optimiser, vector, [4.0, 1.0]).tolist() == pytest.approx([4 / 5, 1 / 2**0.5], abs=ROUNDING)


def test_decay_draws_to_zero_apart_from_the_gradient() -> None:
    optimiser, vector = start(torch.tensor([2.0]), weight_decay=0.5, epsilon=1.0)
    vector.grad = torch.zeros(1, dtype=torch.float64)
    optimiser.step()
    assert float(vector.detach()) == pytest.approx(2.0 * (1 - RATE * 0.5), abs=ROUNDING)
