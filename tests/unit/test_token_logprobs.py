"""One token's log-probability against the definition, there and back."""

import pytest
import torch
from torch.autograd import gradcheck

from posttrain.token_logprobs import token_logprobs
from tolerances import ROUNDING


def by_definition(logits, tokens):
    return torch.log_softmax(logits, -1).gather(-1, tokens[:, None])[:, 0]


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_values_and_gradients_are_those_of_log_softmax(scale):
    draws = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 50, (7,), generator=draws)
    logits = scale * torch.randn(7, 50, generator=draws, dtype=torch.float64)
    weights = torch.randn(7, generator=draws, dtype=torch.float64)
    found = []
    for quantity in (token_logprobs, by_definition):
        leaf = logits.clone().requires_grad_()
        values = quantity(leaf, tokens)
        (values * weights).sum().backward()
        found.append((values.detach(), leaf.grad))
    for ours, other in zip(*found):
        torch.testing.assert_close(ours, other, rtol=ROUNDING, atol=ROUNDING)


def test_its_derivative_is_its_derivative():
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: token_logprobs(x, torch.tensor([0, 5, 2])), logits)


def test_a_worked_example():
    logits = torch.tensor([[0.0, 0.0, float("-inf")]], dtype=torch.float64, requires_grad=True)
    value = token_logprobs(logits, torch.tensor([1]))
    value.sum().backward()
    assert value.exp().tolist() == pytest.approx([0.5])
    assert logits.grad.tolist() == [[-0.5, 0.5, 0.0]]


def test_a_second_derivative_is_refused():
    logits = torch.randn(2, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(token_logprobs(logits, torch.tensor([0, 1])).sum(), logits, create_graph=True)
