"""What is counted of a step's operations."""

import torch

from benchmarks.parts import Traffic, size_in_bytes

FLOATS = 4


def test_operations_are_counted_with_what_they_take_and_give() -> None:
    one, other = torch.ones(3, 5), torch.ones(3, 5)
    with Traffic() as traffic:
        one + other
        one.add_(other)
        one.t().unsqueeze(0)
        one @ other.t()
    assert traffic.operations == 2
    assert traffic.bytes == 6 * one.numel() * FLOATS


def test_a_dimension_that_repeats_takes_no_memory() -> None:
    assert size_in_bytes(torch.ones(3, 1).expand(3, 7)) == 3 * FLOATS
    assert size_in_bytes(torch.ones(0, 4)) == 0
    assert size_in_bytes(torch.ones(2, dtype=torch.bfloat16)) == 4
