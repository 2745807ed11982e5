"""What every share promises, whatever the ranks and the raggedness."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.parts import shares
from fixtures.sequences import sequences
from fixtures.walking import Case
from posttrain.batching import weigh
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import ROUNDING

SHARES = pytest.mark.parametrize("case", shares(), ids=str)


def term(case: Case) -> Term:
    return Term("term", CrossEntropy(), frozenset({Origin.SAMPLED, Origin.GIVEN}), case.construct())


def weights(case: Case, made: list[TrainingSequence], total=float) -> dict[int, list[float]]:
    return {s.uid: s.weights["term"].tolist() for s in weigh(made, [term(case)], total)}


@SHARES
@given(made=sequences())
def test_members_and_only_members_have_weight(case: Case, made: list[TrainingSequence]) -> None:
    found = weights(case, made)
    for s in made:
        members = ((s.origin == Origin.SAMPLED) | (s.origin == Origin.GIVEN)).tolist()
        assert [w > 0 for w in found[s.uid]] == members


@SHARES
@given(made=sequences(), order=st.randoms(use_true_random=False))
def test_the_order_of_the_sequences_does_not_matter(case: Case, made: list[TrainingSequence], order) -> None:
    shuffled = order.sample(made, len(made))
    first, second = weights(case, made), weights(case, shuffled)
    for uid, values in first.items():
        assert second[uid] == pytest.approx(values, abs=ROUNDING)


@SHARES
@given(first=sequences(), second=sequences())
def test_two_ranks_agree_with_one(case: Case, first: list[TrainingSequence], second: list[TrainingSequence]) -> None:
    # A group lives on one rank, so the second rank's groups and numbers are moved away from the first's.
    moved = [dataclasses.replace(s, uid=s.uid + 100, stream="other rank") for s in second]
    together = weights(case, first + moved)
    counted: list[list[float]] = []
    for rank in (first, moved):
        mine: list[float] = []
        weights(case, rank, lambda number, mine=mine: mine.append(number) or number)
        counted.append(mine)
    totals = [a + b for a, b in zip(*counted, strict=True)]
    for rank in (first, moved):
        numbers = iter(totals)
        apart = weights(case, rank, lambda number, numbers=numbers: next(numbers))
        for uid, values in apart.items():
            assert values == pytest.approx(together[uid], abs=ROUNDING)
