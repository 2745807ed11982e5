"""What is timed and counted of a step's operations."""

import pytest
import torch
from torch.utils._python_dispatch import _len_torch_dispatch_stack

from benchmarks.parts import Watched, shares, size_in_bytes, spent

FLOATS = 4


def test_operations_are_counted_with_what_they_take_and_give() -> None:
    one, other = torch.ones(3, 5), torch.ones(3, 5)
    with Watched(counts_bytes=True) as watched:
        one + other
        one.add_(other)
        one.t().unsqueeze(0)
        one @ other.t()
        torch.bmm(one[None], other.t()[None])
    assert watched.operations == {"other": 2, "view": 6, "product": 1, "attention": 1}
    assert watched.bytes["other"] == 6 * one.numel() * FLOATS


def test_what_is_written_but_not_read_counts_once() -> None:
    one, out = torch.ones(3, 5), torch.empty(3, 5)
    with Watched(counts_bytes=True) as watched:
        torch.exp(one, out=out)
    assert watched.bytes["other"] == 2 * 15 * FLOATS


def test_what_an_update_changes_counts_twice_though_nothing_is_returned() -> None:
    weights, gradients, means, squares = ([torch.ones(3, 5)] for _ in range(4))
    numbers = {"lr": 0.1, "beta1": 0.9, "beta2": 0.9, "weight_decay": 0.0, "eps": 1e-8}
    rest, counts = {**numbers, "amsgrad": False, "maximize": False}, [torch.ones(())]
    with Watched(counts_bytes=True) as watched:
        torch._fused_adamw_(weights, gradients, means, squares, [], counts, **rest)
    assert watched.bytes["other"] == (2 * 4 * 15 + 1) * FLOATS  # gradients may be scaled in place


def test_the_price_of_being_asked_is_no_time_of_the_operation() -> None:
    watched = Watched()
    watched.seconds.update({"view": 0.2, "other": 0.5, "product": 3.0})
    watched.operations.update({"view": 100, "other": 50, "product": 10})
    assert watched.busy("other") == 0.5 - 50 * 0.002
    assert watched.busy("product") == 3.0 - 10 * 0.002
    assert watched.busy("attention") == 0


def test_shares_are_those_of_a_step_without_a_clock() -> None:
    watched = Watched()
    watched.seconds.update({"view": 0.1, "other": 1.1, "product": 2.2, "attention": 0.6})
    watched.operations.update({"view": 10, "other": 10, "product": 20, "attention": 10})
    assert shares(watched, 5.0) == pytest.approx({"products": 0.5, "attention": 0.1, "others": 0.2})


def test_plain_and_timed_steps_take_turns() -> None:
    first, second, batches, seen = torch.ones(300, 400), torch.ones(400, 500), torch.ones(7, 90, 90), []

    def step() -> dict[str, float]:
        seen.append(_len_torch_dispatch_stack())
        (first @ second).t()
        torch.baddbmm(batches, batches, batches).transpose(0, 1)
        first.exp()
        return {"processor_seconds": float(len(seen))}

    found = spent(step, 3)
    assert seen == [0, 0, 0, 1, 0, 1, 0, 1, 1]
    assert found["seconds"] == {"median": 5, "least": 3, "most": 7}
    assert 0 < found["attention"] < found["products"] < 1
    assert found["operations"] == 1
    assert found["bytes"] == 2 * first.numel() * FLOATS


def test_a_dimension_that_repeats_takes_no_memory() -> None:
    assert size_in_bytes(torch.ones(3, 1).expand(3, 7)) == 3 * FLOATS
    assert size_in_bytes(torch.ones(0, 4)) == 0
    assert size_in_bytes(torch.ones(2, dtype=torch.bfloat16)) == 4
