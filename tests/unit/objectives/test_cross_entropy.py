"""Likelihood in numbers."""

import math

import pytest

from fixtures.sequences import sequence, spell
from fixtures.stated import Stated, row, stated_batch
from posttrain.objectives.cross_entropy import CrossEntropy


def test_the_loss_is_the_negative_logprob() -> None:
    logprobs = row(0.0, math.log(0.5), math.log(0.25))
    loss = CrossEntropy()(Stated(logprobs), stated_batch(spell("pgg")))
    assert loss[0].tolist() == pytest.approx([0.0, math.log(2), math.log(4)])
    loss.sum().backward()
    assert logprobs.grad.tolist() == [[-1.0, -1.0, -1.0]]


def test_it_is_never_inert() -> None:
    assert not CrossEntropy().inert(sequence([1, 2], spell("pg"), advantages=0.0))
