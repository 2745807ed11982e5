"""Where and how much at once is computed."""

import pytest
import torch
from torch import nn

from posttrain.runtime import CPU_TOKENS_AT_ONCE, LocalRuntime


def test_a_processor_passes_no_more_tokens_at_once_than_its_caches_hold() -> None:
    cpu, gpu = (LocalRuntime(torch.device(kind), None) for kind in ("cpu", "cuda"))
    assert cpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE
    assert cpu.tokens_at_once(100) == gpu.tokens_at_once(100) == 100
    assert gpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE * 2


@pytest.mark.parametrize("clip_norm", [0.5, 5.0 - 1e-7, 5.0, 5.1, float("inf")])
def test_gradients_are_cut_as_torch_cuts_them(clip_norm: float) -> None:
    ours, theirs = ([nn.Parameter(torch.zeros(1)) for _ in range(3)] for _ in range(2))
    for parameters in (ours, theirs):
        for parameter, gradient in zip(parameters, (3.0, 4.0)):  # the third has none
            parameter.grad = torch.tensor([gradient])
    expected = nn.utils.clip_grad_norm_(theirs, clip_norm)
    assert LocalRuntime(torch.device("cpu"), None).gradient_norm(ours, clip_norm) == float(expected) == 5.0
    for one, other in zip(ours[:2], theirs):
        assert torch.equal(one.grad, other.grad)


def test_a_gradient_that_is_no_number_has_no_norm() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.tensor([float("nan")])
    norm = LocalRuntime(torch.device("cpu"), None).gradient_norm([parameter], 1.0)
    assert norm != norm
