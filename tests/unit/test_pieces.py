"""A number per row of a matrix is the same in pieces and as a whole, and so is its gradient."""

import gc
import weakref
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.sequences import sequence
from posttrain import pieces
from posttrain.batching import collate
from posttrain.forward import Forward
from posttrain.pieces import by_pieces
from posttrain.types import Origin
from tolerances import ROUNDING

WIDTH = 5


def number(row: Tensor, place: Tensor) -> Tensor:
    """Depends on every entry of a row and on what stands beside it."""
    return (row.logsumexp(-1) * place) + row.square().sum(-1)


@given(rows=some.integers(0, 9), numbers=some.integers(1, 60))
def test_pieces_of_any_size_make_no_difference(rows: int, numbers: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    matrix = torch.randn(rows, WIDTH, dtype=torch.float64, generator=generator, requires_grad=True)
    places, weights = torch.arange(rows), torch.randn(rows, dtype=torch.float64, generator=generator)
    with patch.dict(pieces.NUMBERS_PER_PIECE, {"cpu": numbers}):
        found = by_pieces(number, matrix, (places,))
        (gradient,) = torch.autograd.grad(found, matrix, weights)
    expected = number(matrix, places)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, matrix, weights)[0], rtol=0, atol=ROUNDING)


def test_the_gradient_has_the_type_of_the_matrix() -> None:
    matrix = torch.randn(4, WIDTH).bfloat16().requires_grad_()
    found = by_pieces(lambda row: row.float().logsumexp(-1), matrix)
    found.sum().backward()
    assert (found.dtype, matrix.grad.dtype) == (torch.float32, torch.bfloat16)


def test_a_gradient_that_would_be_lost_is_refused() -> None:
    temperature = torch.ones((), requires_grad=True)
    with pytest.raises(RuntimeError, match="nothing but the logits"):
        by_pieces(lambda row: row.logsumexp(-1) / temperature, torch.randn(4, WIDTH, requires_grad=True))


def test_what_stands_beside_has_no_gradient() -> None:
    matrix, beside = (torch.randn(4, WIDTH, requires_grad=True) for _ in range(2))
    by_pieces(lambda row, other: (row * other).sum(-1), matrix, (beside,)).sum().backward()
    assert beside.grad is None
    torch.testing.assert_close(matrix.grad, beside.detach(), rtol=0, atol=0)


def test_a_second_derivative_is_refused() -> None:
    matrix = torch.randn(4, WIDTH, requires_grad=True)
    values = by_pieces(lambda row: row.square().sum(-1), matrix)
    with pytest.raises(RuntimeError, match="first derivative only"):
        torch.autograd.grad(values.sum(), matrix, create_graph=True)


@pytest.mark.parametrize("name", ["logprobs", "entropy"])
def test_a_view_that_nobody_holds_is_gone_at_once(name: str) -> None:
    """Its logits with it; were it held by its own graph, memory would grow until somebody looks for cycles."""
    batch = collate([sequence([1, 2, 3, 4], [Origin.SAMPLED] * 4)], 0, torch.device("cpu"))
    positions = batch.attention_mask.bool()
    positions[:, 0] = False
    gc.collect()
    gc.disable()
    try:
        view = Forward(tiny_policy(), batch, positions)
        getattr(view, name).sum().backward()
        held = weakref.ref(view)
        del view
        assert held() is None
    finally:
        gc.enable()
