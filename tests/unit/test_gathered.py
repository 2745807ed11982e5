"""Rows that are read several times get the sum of what flows back, rounded once."""

import torch

from posttrain.gathered import gathered
from tolerances import ROUNDING


def test_rows_and_their_gradients_are_those_of_indexing() -> None:
    rows = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    places = torch.tensor([2, 0, 2, 2, 3])
    above = torch.randn(5, 2, 3, dtype=torch.float64)
    (found,) = torch.autograd.grad((gathered(rows, places) * above).sum(), rows)
    (expected,) = torch.autograd.grad((rows[places] * above).sum(), rows)
    assert torch.equal(gathered(rows, places), rows[places])
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


def test_sums_of_many_readers_are_rounded_once() -> None:
    rows = torch.zeros(1, 64, dtype=torch.bfloat16, requires_grad=True)
    above = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    (found,) = torch.autograd.grad(gathered(rows, torch.zeros(64, dtype=torch.long)), rows, above)
    assert torch.equal(found, above.float().sum(0, keepdim=True).bfloat16())
