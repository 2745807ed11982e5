"""The mask over given tokens, worked by hand."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.sequences import sequence, spell
from posttrain.batching import PerToken, weigh
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.protocols import Term
from posttrain.selection.top_entropy import TopEntropy
from posttrain.types import Origin, Progress, TrainingSequence
from tolerances import ROUNDING

NOW = Progress(0, 1, seed=0)
TERM = Term(
    "policy",
    ClippedPolicy(origins=("given", "sampled")),
    frozenset({Origin.GIVEN, Origin.SAMPLED}),
    PerToken(),
)


def row(pattern: str, entropies: list[float], uid: int = 0) -> TrainingSequence:
    return sequence(list(range(len(pattern))), spell(pattern), uid=uid, old_entropy=entropies)


def emphasis(selection: TopEntropy, *rows: TrainingSequence) -> list[list[float] | None]:
    chosen = selection.start(seed=0)(rows, tiny_policy(), NOW)
    found = [s.signals.get("emphasis/policy") for s in chosen]
    return [None if f is None else f.tolist() for f in found]


FIRST = row("pggggs", [9.0, 0.1, 0.9, 0.3, 0.2, 0.0], uid=1)
SECOND = row("pggs", [0.0, 0.8, 0.05, 5.0], uid=2)
SCRATCH = row("pss", [0.0, 0.0, 0.0], uid=3)


def test_the_most_uncertain_given_tokens_of_the_collection_stay() -> None:
    found = emphasis(TopEntropy("policy", masked=0.5), FIRST, SECOND, SCRATCH)
    assert found == [[1, 0, 1, 1, 0, 1], [1, 1, 0, 1], None]  # 0.9, 0.8 and 0.3 of six


def test_the_most_uncertain_given_tokens_of_each_sequence_stay() -> None:
    found = emphasis(TopEntropy("policy", masked=0.5, within="sequence"), FIRST, SECOND, SCRATCH)
    assert found == [[1, 0, 1, 1, 0, 1], [1, 1, 0, 1], None]
    lopsided = row("pggs", [0.0, 0.01, 0.02, 0.0], uid=4)
    assert emphasis(TopEntropy("policy", masked=0.5, within="sequence"), FIRST, lopsided)[1] == [1, 0, 1, 1]
    assert emphasis(TopEntropy("policy", masked=0.5), FIRST, lopsided)[1] == [1, 0, 0, 1]


@pytest.mark.parametrize(("masked", "kept"), [(0.0, 6), (0.1, 6), (0.17, 5), (0.5, 3), (0.8, 2), (0.99, 1), (1.0, 0)])
def test_the_number_that_is_masked_is_rounded_down(masked: float, kept: int) -> None:
    first, second = emphasis(TopEntropy("policy", masked), FIRST, SECOND)
    assert sum(first[1:5]) + sum(second[1:3]) == kept


def test_the_default_keeps_the_top_fifth() -> None:
    long = row("p" + "g" * 10, [0.0, *[float(k) for k in range(10)]])
    assert emphasis(TopEntropy("policy"), long) == [[1, *[0] * 8, 1, 1]]


def test_of_equal_entropies_the_first_is_masked() -> None:
    assert emphasis(TopEntropy("policy", 0.5), row("pgggg", [0.0, 1.0, 1.0, 1.0, 1.0])) == [[1, 0, 0, 1, 1]]


def test_a_masked_token_has_no_weight_but_keeps_its_place_in_the_denominator() -> None:
    rows = [FIRST, SECOND, SCRATCH]
    chosen = weigh(TopEntropy("policy", 0.5).start(0)(rows, tiny_policy(), NOW), [TERM], float)
    plain = weigh(rows, [TERM], float)
    for one, other in zip(chosen, plain, strict=True):
        kept = one.signals.get("emphasis/policy", torch.ones(len(one.tokens)))
        assert torch.equal(one.weights["policy"], other.weights["policy"] * kept)
    assert sum(float(s.weights["policy"].sum()) for s in chosen) == pytest.approx(7 / 10, abs=ROUNDING)


def test_another_term_is_not_touched() -> None:
    other = dataclasses.replace(TERM, name="entropy")
    chosen = TopEntropy("policy", 0.5).start(0)([FIRST], tiny_policy(), NOW)
    (one,), (plain,) = weigh(chosen, [other], float), weigh([FIRST], [other], float)
    assert torch.equal(one.weights["entropy"], plain.weights["entropy"])


def test_an_emphasis_that_is_there_already_is_multiplied() -> None:
    before = dataclasses.replace(
        FIRST, signals={**FIRST.signals, "emphasis/policy": torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5, 6.0])}
    )
    assert emphasis(TopEntropy("policy", masked=0.5), before, SECOND) == [[1, 0, 3, 4, 0, 6], [1, 1, 0, 1]]


@pytest.mark.parametrize("masked", [-0.1, 1.1])
def test_what_is_no_fraction_is_refused(masked: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        TopEntropy("policy", masked)
