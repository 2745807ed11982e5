"""Weights of tokens in which a correct and a faulty text differ."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.sequences import NOW, sequence, spell
from posttrain.errors import UserError
from posttrain.rollouts.contrasts import Contrasts
from posttrain.selection.faults import ClippedRatio, FaultEmphasis, Logistic, RatioOfLosses, Static
from posttrain.types import TrainingSequence
from tolerances import MODEL, ROUNDING

LOSSES = st.floats(0, 50)
DYNAMIC = pytest.mark.parametrize("strength", [RatioOfLosses(), ClippedRatio(), Logistic()], ids=str)

LINE, TOKEN = [0.0, 1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]
FAULTY_LINE, FAULTY_TOKEN = [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]


def labelled(row: TrainingSequence, faulty: float, paired: float = 1.0) -> TrainingSequence:
    labels = {"pair": 0.0, "faulty": faulty, "paired": paired}
    return dataclasses.replace(row, rollout=dataclasses.replace(row.rollout, labels=labels))


def pair(
    correct: list[float], faulty: list[float], faulty_marks: tuple[list[float], list[float]] | None = None
) -> list[TrainingSequence]:
    """A correct text of four answer tokens and a faulty one of three, with these losses, prompt token first."""
    lines, tokens = faulty_marks or (FAULTY_LINE, FAULTY_TOKEN)
    ours = sequence([5, 3, 4, 2, 0], spell("pgggg"), uid=0, old_logprobs=[-x for x in correct])
    theirs = sequence([5, 3, 4, 0], spell("pggg"), uid=1, old_logprobs=[-x for x in faulty])
    marks = ((ours, LINE, TOKEN, 0.0), (theirs, lines, tokens, 1.0))
    made = []
    for row, line, token, fault in marks:
        signals = sequence(
            row.tokens.tolist(), row.origin.tolist(), **{"fault/line": line, "fault/token": token}
        ).signals
        made.append(labelled(dataclasses.replace(row, signals={**row.signals, **signals}), fault))
    return made


def weights(selection: FaultEmphasis, rows: list[TrainingSequence]) -> list[float]:
    (kept,) = selection.start(0)(rows, None, NOW)
    assert kept.uid == 0
    return kept.signals["emphasis/likelihood"].tolist()


def test_the_ratio_of_losses_by_hand() -> None:
    rows = pair([0.0, 1.0, 4.0, 4.0, 9.0], [0.0, 1.0, 2.0, 9.0])
    line = 3.0 / (3.0 + 1.5)  # means of 1, 4, 4 and of 1, 2
    token = 4.0 / (4.0 + 1.0)
    expected = [1, 1 + 0.5 * line, 1 + 0.5 * line + 2 * token, 1 + 0.5 * line, 1]
    assert weights(FaultEmphasis(0.5, 2.0), rows) == pytest.approx(expected, abs=MODEL)


def test_static_weights_need_no_losses() -> None:
    assert FaultEmphasis(strength=Static()).needs == frozenset()
    rows = pair([0.0] * 5, [0.0] * 4)
    blind = [dataclasses.replace(r, signals={n: v for n, v in r.signals.items() if n != "old_logprobs"}) for r in rows]
    assert weights(FaultEmphasis(0.5, 2.0, Static()), blind) == [1.0, 1.5, 3.5, 1.5, 1.0]


def test_a_clipped_ratio_is_the_weight_itself() -> None:
    rows = pair([0.0, 1.0, 4.0, 1.0, 9.0], [0.0, 2.0, 9.0, 9.0])
    assert weights(FaultEmphasis(0.0, 1.0, ClippedRatio()), rows) == pytest.approx([1, 1, 2, 1, 1], abs=ROUNDING)
    likely = pair([0.0, 1.0, 40.0, 1.0, 9.0], [0.0, 2.0, 9.0, 9.0])
    assert weights(FaultEmphasis(0.0, 1.0, ClippedRatio()), likely) == [1, 1, 3, 1, 1]


def test_clipped_ratios_of_both_granularities_add_up() -> None:
    rows = pair([0.0, 90.0, 90.0, 90.0, 9.0], [0.0, 1.0, 1.0, 9.0])
    assert weights(FaultEmphasis(1.0, 0.0, ClippedRatio()), rows) == [1, 3, 3, 3, 1]
    assert weights(FaultEmphasis(0.0, 1.0, ClippedRatio()), rows) == [1, 1, 3, 1, 1]
    assert weights(FaultEmphasis(1.0, 1.0, ClippedRatio()), rows) == [1, 3, 5, 3, 1]
    assert weights(FaultEmphasis(1.0, 1.0, ClippedRatio(most=1.0)), rows) == [1, 2, 3, 2, 1]


def test_a_logistic_strength_by_hand() -> None:
    assert Logistic(2.0)(3.0, 1.0) == pytest.approx(1 / (1 + math.exp(-1)), abs=ROUNDING)


@DYNAMIC
@given(loss=LOSSES, other=LOSSES, more=st.floats(0, 5))
def test_it_grows_with_the_loss_of_the_correct_and_falls_with_that_of_the_faulty(
    strength, loss: float, other: float, more: float
) -> None:
    assert 0 <= strength(loss, other) <= strength(loss + more, other) + ROUNDING
    assert strength(loss, other + more) <= strength(loss, other) + ROUNDING


@given(loss=LOSSES)
def test_equal_losses_prefer_neither(loss: float) -> None:
    assert RatioOfLosses()(loss, loss) == pytest.approx(0.5, abs=ROUNDING)
    assert Logistic()(loss, loss) == 0.5
    assert ClippedRatio()(loss, loss) == pytest.approx(0.0, abs=ROUNDING)


def test_a_faulty_text_without_marks_prefers_neither() -> None:
    rows = pair([0.0, 1.0, 4.0, 4.0, 9.0], [0.0, 1.0, 2.0, 9.0], ([0.0] * 4, [0.0] * 4))
    assert weights(FaultEmphasis(), rows) == pytest.approx([1, 1.5, 2, 1.5, 1], abs=MODEL)


@DYNAMIC
def test_no_loss_at_all_is_finite(strength) -> None:
    assert all(math.isfinite(strength(a, b)) for a in (0.0, 9.0) for b in (0.0, 9.0))


def test_the_faulty_text_only_moves_numbers() -> None:
    """Which tokens are raised is a matter of the marks; what the faulty text is worth only of its losses."""
    first, second = (
        weights(FaultEmphasis(), pair([0.0, 1.0, 4.0, 4.0, 9.0], [0.0, *losses, 9.0])) for losses in ((1, 2), (7, 3))
    )
    assert [w > 1 for w in first] == [w > 1 for w in second] == [False, True, True, True, False]
    assert first != second


def test_pairs_are_found_within_their_group() -> None:
    one, other = pair([0.0, 1, 4, 4, 9], [0.0, 1, 2, 9]), pair([0.0, 8, 1, 1, 9], [0.0, 5, 5, 9])
    moved = [
        dataclasses.replace(r, uid=r.uid + 2, rollout=dataclasses.replace(r.rollout, group="other")) for r in other
    ]
    alone = [
        FaultEmphasis().start(0)(rows, None, NOW)[0].signals["emphasis/likelihood"].tolist() for rows in (one, moved)
    ]
    mixed = FaultEmphasis().start(0)([one[0], moved[1], moved[0], one[1]], None, NOW)
    assert [s.uid for s in mixed] == [0, 2]
    assert [s.signals["emphasis/likelihood"].tolist() for s in mixed] == alone


def test_a_text_without_a_variant_stays_as_it_is() -> None:
    row = labelled(pair([0.0] * 5, [0.0] * 4)[0], faulty=0.0, paired=0.0)
    assert FaultEmphasis().start(0)([row], None, NOW) == [row]


def test_texts_of_another_source_are_refused() -> None:
    with pytest.raises(UserError, match="collect them with Contrasts"):
        FaultEmphasis().start(0)([sequence([5, 3], spell("pg"))], None, NOW)


def test_it_reads_what_the_source_marks() -> None:
    assert Contrasts().provides == {"fault/line", "fault/token"} <= set(pair([0.0] * 5, [0.0] * 4)[0].signals)


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        (FaultEmphasis, {"line": -1.0}),
        (FaultEmphasis, {"token": -1.0}),
        (RatioOfLosses, {"epsilon": 0.0}),
        (ClippedRatio, {"most": -0.1}),
        (Logistic, {"temperature": 0.0}),
    ],
)
def test_settings_without_meaning_are_refused(part: type, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"negative|above 0"):
        part(**settings)
