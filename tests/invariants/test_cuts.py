"""No cut, padding or order of a minibatch changes its gradient or its reported losses."""

import dataclasses
from collections.abc import Sequence
from functools import cache

import pytest
import torch
from torch.nn.functional import pad

from fixtures.models import tiny_policy
from fixtures.parts import objectives, prepare_of, shares
from fixtures.sequences import ragged
from fixtures.training import Accumulated, accumulate
from fixtures.walking import Case
from posttrain import loop
from posttrain.batching import PerGroup, collate
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.signals import WHOLE_GROUPS
from posttrain.types import Origin, TokenBatch, TrainingSequence
from tolerances import GRADIENT, VISIBLE

EVERY = [
    pytest.mark.parametrize("objective", objectives(), ids=str),
    pytest.mark.parametrize("share", shares(), ids=str),
]
ROWS = ragged(8, temperature=0.8)
LONGEST = max(len(s.tokens) for s in ROWS)
SAMPLED = frozenset({Origin.SAMPLED})


def every(test):
    for mark in EVERY:
        test = mark(test)
    return test


def terms_of(objective: Case, share: Case) -> list[Term]:
    """The objective on sampled tokens beside a likelihood of given ones: two different memberships."""
    beside, made = Term("beside", CrossEntropy(), frozenset({Origin.GIVEN}), PerGroup(), 0.3), objective.construct()
    return [Term("term", made, SAMPLED, share.construct(), 0.7, prepare=prepare_of(made)), beside]


def give(
    terms: Sequence[Term], rows: Sequence[TrainingSequence] = ROWS, tokens_per_microbatch: int = 8 * LONGEST
) -> Accumulated:
    return accumulate(terms, rows, tiny_policy(), tokens_per_microbatch)


@cache
def whole(objective: Case, share: Case) -> Accumulated:
    """All in one pass."""
    return give(terms_of(objective, share))


def same(one: Accumulated, other: Accumulated) -> None:
    assert float(one.gradient.norm()) > VISIBLE
    torch.testing.assert_close(other.gradient, one.gradient, rtol=GRADIENT, atol=GRADIENT)
    assert other.losses == pytest.approx(one.losses, rel=GRADIENT, abs=GRADIENT)


@every
@pytest.mark.parametrize(("budget", "passes"), [(4 * LONGEST, 2), (1, 8)], ids=["2x4", "8x1"])
def test_cuts_into_microbatches(objective: Case, share: Case, budget: int, passes: int) -> None:
    cut = give(terms_of(objective, share), tokens_per_microbatch=budget)
    most = 4 if WHOLE_GROUPS in objective.construct().needs else 8  # groups of two that must not be parted
    assert (whole(objective, share).passes, cut.passes) == (1, min(passes, most))
    same(whole(objective, share), cut)


@every
def test_padding(monkeypatch: pytest.MonkeyPatch, objective: Case, share: Case) -> None:
    plain = whole(objective, share)
    monkeypatch.setattr(loop, "collate", padded_collate)
    same(plain, give(terms_of(objective, share)))


def padded_collate(rows: Sequence[TrainingSequence], token: int, device: torch.device) -> TokenBatch:
    """Seven more columns of padding, of a token that means something."""
    batch = collate(rows, token, device)
    return dataclasses.replace(
        batch,
        tokens=pad(batch.tokens, (0, 7), value=9),
        origin=pad(batch.origin, (0, 7)),
        attention_mask=pad(batch.attention_mask, (0, 7)),
        signals={name: pad(value, (0, 7)) for name, value in batch.signals.items()},
        weights={name: pad(value, (0, 7)) for name, value in batch.weights.items()},
    )


@every
def test_order_of_sequences(objective: Case, share: Case) -> None:
    shuffled = [dataclasses.replace(ROWS[k], uid=at) for at, k in enumerate((5, 2, 7, 0, 3, 6, 1, 4))]
    same(whole(objective, share), give(terms_of(objective, share), shuffled, 3 * LONGEST))


@every
def test_order_of_terms(objective: Case, share: Case) -> None:
    same(whole(objective, share), give(terms_of(objective, share)[::-1]))


def test_a_mean_within_each_microbatch_would_be_seen() -> None:
    """The usual mistake changes this minibatch's gradient by far more than the tolerance."""
    apart = next(case for case in objectives() if WHOLE_GROUPS not in case.construct().needs)
    terms = terms_of(apart, shares()[0])
    right = give(terms).gradient
    halves = [give(terms, part).gradient for part in (sorted(ROWS, key=lambda s: len(s.tokens))[k::2] for k in (0, 1))]
    assert float((sum(halves) / 2 - right).norm() / right.norm()) > VISIBLE
