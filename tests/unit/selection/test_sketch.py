"""The sketch against fast Fourier transforms, and what it keeps of distances."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from posttrain.selection.sketch import FourierSketch, Sketch
from tolerances import MODEL, ROUNDING, STANDARD_ERRORS

LONGEST, VOCABULARY = 12, 10
WIDE = torch.zeros(0, dtype=torch.float64)


def noise(rows: int, seed: int = 0, columns: int = VOCABULARY) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(seed: int = 0, **settings: object) -> Sketch:
    chosen = {"columns": 5, "rows": 3, "longest": LONGEST, **settings}
    return FourierSketch(**chosen).draw(VOCABULARY, seed, like=WIDE)


def by_transforms(matrix: Tensor, seed: int, columns: int = 5, rows: int = 3) -> Tensor:
    """The released code's order of operations, with the same draws."""
    generator = torch.Generator().manual_seed(seed)
    time_signs = torch.randint(2, (LONGEST,), generator=generator) * 2.0 - 1.0
    times = torch.randint(LONGEST, (rows,), generator=generator)
    signs = torch.randint(2, (VOCABULARY,), generator=generator) * 2.0 - 1.0
    frequencies = torch.randint(VOCABULARY, (columns,), generator=generator)
    padded = torch.zeros(LONGEST, VOCABULARY, dtype=matrix.dtype)
    padded[: len(matrix)] = matrix
    x = torch.fft.fft(padded * signs, dim=1).real[:, frequencies] * math.sqrt(VOCABULARY / columns)
    x = torch.fft.fft(x * time_signs[:, None], dim=0).real[times] * math.sqrt(LONGEST / rows)
    return x.flatten()


@pytest.mark.parametrize("rows", [1, 7, LONGEST])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_codes_units_are_those_of_two_transforms(rows: int, seed: int) -> None:
    matrix = noise(rows)
    found = drawn(seed, normalise="code")(matrix)
    torch.testing.assert_close(found, by_transforms(matrix, seed), rtol=MODEL, atol=MODEL)


def test_isometric_units_are_the_codes_divided_by_half_the_root_of_the_size() -> None:
    matrix = noise(9)
    expected = drawn(normalise="code")(matrix) * 2 / math.sqrt(VOCABULARY * LONGEST)
    torch.testing.assert_close(drawn()(matrix), expected, rtol=MODEL, atol=MODEL)


@given(a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_it_is_linear(a: float, b: float) -> None:
    sketch, one, other = drawn(), noise(7), noise(7, seed=1)
    expected = a * sketch(one) + b * sketch(other)
    torch.testing.assert_close(sketch(a * one + b * other), expected, rtol=MODEL, atol=MODEL)


def test_rows_of_zeros_behind_a_matrix_change_nothing() -> None:
    matrix = noise(5)
    padded = torch.cat([matrix, torch.zeros(4, VOCABULARY, dtype=matrix.dtype)])
    torch.testing.assert_close(drawn()(padded), drawn()(matrix), rtol=0, atol=ROUNDING)


def test_the_expected_square_is_that_of_the_matrix_but_for_two_frequencies() -> None:
    """cos^2 averages to 1/2 except where an index is 0 or half the length: there every draw sees it whole."""
    matrix = noise(7)
    time, words = (torch.tensor([2.0 if i in (0, n / 2) else 1.0 for i in range(n)]) for n in (LONGEST, VOCABULARY))
    expected = float((time[:7, None] * words * matrix**2).sum())
    squares = torch.stack([drawn(seed)(matrix).square().sum() for seed in range(3000)])
    error = float(squares.std() / math.sqrt(len(squares)))
    assert abs(float(squares.mean()) - expected) < STANDARD_ERRORS * error
    assert error < expected / 20


def test_distances_of_sketches_order_pairs_as_their_matrices_do() -> None:
    sketch = FourierSketch(columns=16, rows=8, longest=32).draw(64, 0, like=WIDE)
    scales = torch.linspace(0.2, 3, 40)
    pairs = [(noise(32, 2 * k, 64) * scale, noise(32, 2 * k + 1, 64) * scale) for k, scale in enumerate(scales)]
    true = torch.stack([(a - b).norm() for a, b in pairs]).argsort().argsort().double()
    seen = torch.stack([(sketch(a) - sketch(b)).norm() for a, b in pairs]).argsort().argsort().double()
    assert float(torch.corrcoef(torch.stack([true, seen]))[0, 1]) > 0.95


def test_the_same_seed_draws_the_same_sketch_and_another_does_not() -> None:
    matrix = noise(6)
    assert torch.equal(drawn(3)(matrix), drawn(3)(matrix))
    assert not torch.equal(drawn(3)(matrix), drawn(4)(matrix))


def test_it_has_the_type_of_what_it_is_drawn_for() -> None:
    sketch = FourierSketch(4, 2, 8).draw(6, 0, like=torch.zeros(1, dtype=torch.float32))
    assert sketch(torch.ones(3, 6)).dtype == torch.float32
    assert sketch(torch.ones(3, 6)).shape == (FourierSketch(4, 2, 8).size,)


def test_a_longer_matrix_is_sketched_in_pieces_that_add_up() -> None:
    matrix = noise(2 * LONGEST + 3)
    behind = torch.zeros_like(matrix)
    behind[LONGEST:] = matrix[LONGEST:]
    sketch = drawn()
    expected = sketch(matrix[:LONGEST]) + sketch(behind)
    torch.testing.assert_close(sketch(matrix), expected, rtol=0, atol=ROUNDING)
    assert torch.equal(sketch(matrix), drawn()(matrix))
    assert not torch.allclose(sketch(behind[LONGEST : 2 * LONGEST]), sketch(behind[: 2 * LONGEST]))


def test_the_expected_square_of_pieces_is_the_sum_of_theirs() -> None:
    """Equal rows of different pieces neither cancel nor meet, as they would under one draw."""
    matrix = torch.zeros(2 * LONGEST, VOCABULARY, dtype=torch.float64)
    matrix[1, 1:5] = matrix[LONGEST + 1, 1:5] = 1.0
    squares = torch.stack([drawn(seed)(matrix).square().sum() for seed in range(3000)])
    error = float(squares.std() / math.sqrt(len(squares)))
    assert abs(float(squares.mean()) - float(matrix.square().sum())) < STANDARD_ERRORS * error
    assert error < float(matrix.square().sum()) / 20


def test_a_sketch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one column"):
        FourierSketch(columns=0)
