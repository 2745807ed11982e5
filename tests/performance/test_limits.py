"""What is counted as unavoidable, against counting by hand."""

import pytest

from benchmarks.contestants.work import Work
from benchmarks.limits import BYTES_PER_UPDATE, Bench, Product, least_seconds, needed, with_gradient
from benchmarks.models import Size

SIZE = Size("toy", width=8, inner=16, layers=3, heads=2, key_value_heads=1, vocabulary=32)
LAYER = 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16
"""Weights of a layer's matrices: queries and output, keys and values of half the width, three of the inner layer."""
KEYS_AND_VALUES = 2 * 8 * 4
SUPERVISED = Work("sft", "sft", "toy", 32, 6, 4, 5)
REINFORCED = Work("grpo", "grpo", "toy", 32, 6, 4, 5, 2, live_groups=5)


def operations(products):
    return sum(p.operations for p in products)


def test_a_supervised_step():
    """Five sequences of 6 + 4 tokens: 9 of each pass, and 4 of them predict."""
    counted = needed(SUPERVISED, SIZE)
    before, last = 2 * 45 * 2 * LAYER, 2 * (45 * KEYS_AND_VALUES + 20 * (LAYER - KEYS_AND_VALUES))
    head = 2 * 20 * 8 * 32
    of_prompts = 2 * 5 * 2 * 2 * (6 * 4 * 6) * 2 / 2  # in the last layer nobody reads what prompts attend to
    of_rests = 2 * 5 * 2 * 3 * (3 * 4 * 9) * 2 * (6 + 3 / 2) / 9
    assert operations(counted.products) == pytest.approx(3 * (before + last + head + of_prompts + of_rests))
    assert counted.turns == []
    assert counted.turns_count == 0
    assert counted.update_bytes == BYTES_PER_UPDATE * (3 * LAYER + 32 * 8)


def prefill(prompts):
    of_layers = 2 * prompts * (6 * 2 * LAYER + 6 * KEYS_AND_VALUES + LAYER - KEYS_AND_VALUES)
    return of_layers + 2 * prompts * 2 * 2 * (6 * 4 * 6) * 2 / 2


def test_a_reinforced_step_samples_and_learns_from_live_groups_only():
    dense = needed(REINFORCED, SIZE)
    assert dense.turns_count == 3
    assert operations(dense.turns) == 3 * 2 * 10 * (3 * LAYER + 8 * 32)
    sparse = needed(Work("grpo", "grpo", "toy", 32, 6, 4, 5, 2, live_groups=1), SIZE)
    of_dense, of_sparse = (operations(counted.products) - prefill(5) for counted in (dense, sparse))
    assert of_dense == pytest.approx(5 * of_sparse)
    # A group's 6 tokens pass once and 3 of each of two completions; from the last of the 6 and from the 3 is predicted.
    of_layers = 2 * (12 * 2 * LAYER + 12 * KEYS_AND_VALUES + 7 * (LAYER - KEYS_AND_VALUES)) + 2 * 7 * 8 * 32
    of_attention = 2 * 2 * 2 * (6 * 4 * 6) * 2 / 2 + 2 * 2 * 2 * 3 * (3 * 4 * 9) * 2 * (6 + 3 / 2) / 9
    assert of_sparse == pytest.approx(3 * (of_layers + of_attention))


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
