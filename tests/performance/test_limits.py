"""What is counted as unavoidable, against counting by hand."""

import pytest

from benchmarks.contestants.work import Work
from benchmarks.limits import BYTES_PER_UPDATE, Bench, Product, least_seconds, needed, with_gradient
from benchmarks.models import Size

SIZE = Size("toy", width=8, inner=16, layers=3, heads=2, key_value_heads=1, vocabulary=32)
LAYER = 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16
"""Weights of a layer's matrices: queries and output, keys and values of half the width, three of the inner layer."""
SUPERVISED = Work("sft", "sft", "toy", 32, 6, 4, 5)
REINFORCED = Work("grpo", "grpo", "toy", 32, 6, 4, 5, 2, live_groups=5)


def operations(products):
    return sum(p.operations for p in products)


def test_a_supervised_step():
    counted = needed(SUPERVISED, SIZE)
    layers, head = 2 * 50 * 3 * LAYER, 2 * 20 * 8 * 32
    attention = 2 * 5 * 2 * 3 * (10 * 4 * 10 + 10 * 10 * 4) / 2
    assert operations(counted.products) == pytest.approx(3 * (layers + head + attention))
    assert counted.turns == []
    assert counted.turns_count == 0
    assert counted.update_bytes == BYTES_PER_UPDATE * (3 * LAYER + 32 * 8)


def test_a_reinforced_step_samples_and_learns_from_live_groups_only():
    dense = needed(REINFORCED, SIZE)
    assert dense.turns_count == 3
    assert operations(dense.turns) == 3 * 2 * 10 * (3 * LAYER + 8 * 32)
    sparse = needed(Work("grpo", "grpo", "toy", 32, 6, 4, 5, 2, live_groups=1), SIZE)
    prefill = 2 * 30 * 3 * LAYER + 2 * 5 * 2 * 3 * (6 * 4 * 6) * 2 / 2
    assert operations(dense.products) - prefill == pytest.approx(5 * (operations(sparse.products) - prefill))


def test_sampling_alone_updates_nothing():
    counted = needed(Work("sampling", "sampling", "toy", 32, 6, 4, 5, 2), SIZE)
    assert counted.update_bytes == 0
    assert counted.turn_bytes == 2 * (3 * LAYER + 32 * 8 + (5 * 6 + 10 * 2) * 3 * 2 * 4)


def test_gradients_are_two_more_products_of_the_same_size():
    [forward, inputs, weights] = with_gradient([Product(3, 4, 5, 2)])
    assert (inputs.m, inputs.k, inputs.n) == (3, 5, 4)
    assert (weights.m, weights.k, weights.n) == (4, 3, 5)
    assert forward.operations == inputs.operations == weights.operations == 2 * 2 * 3 * 4 * 5


def test_the_least_time_is_the_sum_of_its_parts(monkeypatch):
    monkeypatch.setattr(Bench, "seconds", lambda self, product: product.operations)
    monkeypatch.setattr(Bench, "seconds_of_turns", lambda self, product: product.operations)
    monkeypatch.setattr(Bench, "reading", lambda self, size: float(size))
    counted, least = needed(REINFORCED, SIZE), least_seconds(REINFORCED, SIZE, Bench())
    assert least["turns_reading"] == 3 * counted.turn_bytes
    expected = operations(counted.products) + max(least["turns"], least["turns_reading"]) + counted.update_bytes
    assert least["seconds"] == pytest.approx(expected)


def test_a_product_is_timed():
    assert Bench().seconds(Product(8, 8, 8, 10)) > 0
