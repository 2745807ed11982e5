"""AdamW by the age of each entry."""

import pytest
import torch
from torch import nn

from posttrain.optimisers.per_entry import PerEntryAdamW, bias_correction
from posttrain.stage import AdamW
from tolerances import ROUNDING, VISIBLE

BETAS = (0.8, 0.9)


def descend(optimiser: torch.optim.Optimizer, values: nn.Parameter, steps: int, seed: int = 0) -> None:
    noise = torch.Generator().manual_seed(seed)
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    for _ in range(steps):
        values.grad = torch.randn(values.shape, generator=noise, dtype=torch.float64)
        optimiser.step()


def start(spec: AdamW | PerEntryAdamW) -> tuple[torch.optim.Optimizer, nn.Parameter]:
    values = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64))
    return spec.start([{"params": [values]}]), values


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_with_entries_of_equal_age_it_is_adamw(weight_decay: float) -> None:
    settings = {"betas": BETAS, "epsilon": 1e-6, "weight_decay": weight_decay}
    ours, theirs = start(PerEntryAdamW(**settings)), start(AdamW(**settings))
    for optimiser, values in (ours, theirs):
        descend(optimiser, values, 7)
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=ROUNDING)
    assert ours[0].state[ours[1]]["age"].tolist() == [7.0] * 6


def test_an_entry_that_begins_anew_moves_as_in_its_first_update() -> None:
    optimiser, values = start(PerEntryAdamW(betas=BETAS, epsilon=0.0))
    descend(optimiser, values, 5)
    for state in optimiser.state[values].values():
        state[2] = 0.0
    before = values.detach().clone()
    values.grad = torch.full_like(values, 0.01)
    optimiser.step()
    moved = values.detach() - before
    assert float(moved[2]) == pytest.approx(-0.1, abs=ROUNDING)  # lr times the sign of its one gradient
    others = torch.cat([moved[:2], moved[3:]])
    assert bool(((others + 0.1).abs() > VISIBLE).all())
    assert optimiser.state[values]["age"].tolist() == [6.0, 6.0, 1.0, 6.0, 6.0, 6.0]


def test_it_keeps_three_numbers_per_entry() -> None:
    optimiser, values = start(PerEntryAdamW())
    descend(optimiser, values, 1)
    assert {name: state.numel() for name, state in optimiser.state[values].items()} == {
        "age": 6,
        "exp_avg": 6,
        "exp_avg_sq": 6,
    }


@pytest.mark.parametrize(("beta", "age", "expected"), [(0.9, 1.0, 0.1), (0.9, 2.0, 0.19), (0.0, 3.0, 1.0)])
def test_the_correction_of_a_bias(beta: float, age: float, expected: float) -> None:
    assert float(bias_correction(beta, torch.tensor(age, dtype=torch.float64))) == pytest.approx(expected, abs=ROUNDING)


def test_the_correction_is_exact_where_float32_would_cancel() -> None:
    found = bias_correction(0.9999, torch.tensor(1.0))
    assert float(found) == pytest.approx(1e-4, rel=1e-6)
