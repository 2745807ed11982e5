"""The plane, its quadrants, and what is pruned of a batch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.models import bigram_policy
from fixtures.sequences import NOW, sequence, spell
from fixtures.training import accumulate, prepared_stage
from posttrain.annotate import annotate
from posttrain.batching import PerToken
from posttrain.errors import UserError
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.selection.plane import (
    Quadrant,
    bisected_edge,
    context_scores,
    imbalance,
    kept,
    perplexities,
    quadrants,
)
from posttrain.selection.quadrants import Quadrants, share_of
from posttrain.types import Origin, TrainingSequence
from tolerances import MODEL, ROUNDING

NUMBERS = st.lists(st.tuples(st.floats(0, 8), st.floats(0, 3)), min_size=1, max_size=24)
EDGES = st.floats(0, 0.49)
LIKELIHOOD = Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), PerToken("weights"))


def plane(points: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    """Mean losses and entropies."""
    losses, doubts = torch.tensor(points, dtype=torch.float64).T
    return losses, doubts


def batch(points: list[tuple[float, float]], tokens: int = 4) -> list[TrainingSequence]:
    """Sequences of ``tokens`` answer tokens with these mean losses and entropies; losses rise within each."""
    steps = torch.linspace(-0.1, 0.1, tokens)
    made = []
    for uid, (loss, doubt) in enumerate(points):
        losses = [0.0, *(-(loss + float(s)) for s in steps)]
        signals = {"old_logprobs": losses, "old_entropy": [0.0] + [doubt] * tokens}
        made.append(sequence([5] + [3] * tokens, spell("p" + "g" * tokens), uid=uid, group=uid, **signals))
    return made


def pruned(settings: Quadrants, rows: list[TrainingSequence]) -> dict[int, list[float]]:
    """uid -> emphasis of its answer; all ones where it has none."""
    chosen = settings.start(0)(rows, None, NOW)
    return {s.uid: s.signals.get("emphasis/likelihood", torch.ones(len(s.tokens)))[1:].tolist() for s in chosen}


CORNERS = [(4.0, 2.0), (4.0, 0.1), (0.5, 0.1), (0.5, 2.0)]


def test_four_points_at_the_corners_are_the_four_quadrants() -> None:
    found = quadrants(*plane(CORNERS), edge=0.3)
    assert found.tolist() == [Quadrant.NOISE, Quadrant.MISCONCEPTION, Quadrant.REDUNDANT, Quadrant.CALIBRATION]


def test_what_lies_between_belongs_to_none_unless_a_cross_divides_the_plane() -> None:
    points = plane([*CORNERS, (3.0, 0.8)])
    assert quadrants(*points, edge=0.2)[-1] == Quadrant.MIDDLE
    assert quadrants(*points, edge=0.2, band="cross")[-1] == Quadrant.MISCONCEPTION


@given(points=NUMBERS, edges=st.tuples(EDGES, EDGES))
def test_a_larger_edge_keeps_at_least_as_much(points: list[tuple[float, float]], edges: tuple[float, float]) -> None:
    smaller, larger = (kept(quadrants(*plane(points), edge)) for edge in sorted(edges))
    assert bool((smaller <= larger).all())


@given(points=NUMBERS, edge=EDGES)
def test_only_ranks_matter(points: list[tuple[float, float]], edge: float) -> None:
    losses, doubts = plane(points)
    assert torch.equal(quadrants(losses.exp(), doubts, edge), quadrants(losses, doubts, edge))


@given(points=NUMBERS, share=st.sampled_from([0.125, 0.25, 0.5, 1.0]))
def test_the_edge_holds_less_than_a_round_of_bisection_would_add(
    points: list[tuple[float, float]], share: float
) -> None:
    edge = bisected_edge(*plane(points), share, rounds=10)
    assert 0 < edge < 0.49
    inside = float(kept(quadrants(*plane(points), edge)).double().mean())
    wider = float(kept(quadrants(*plane(points), min(0.49, edge + 0.49 / 2**10))).double().mean())
    narrower = float(kept(quadrants(*plane(points), max(0.0, edge - 0.49 / 2**10))).double().mean())
    assert narrower <= inside <= wider
    assert wider >= share or edge > 0.489
    assert narrower < share or edge < 0.001


def test_perplexity_stands_out_against_entropy_on_one_scale() -> None:
    lean = imbalance(torch.tensor([10.0, 20.0, 30.0]), torch.tensor([1.0, 0.0, 0.5]))
    assert lean.tolist() == pytest.approx([-1.0, 0.5, 0.5])
    assert imbalance(torch.ones(3), torch.ones(3)).tolist() == [0.0] * 3


def test_perplexities_of_impossible_tokens_are_finite() -> None:
    assert bool(perplexities(torch.tensor([0.0, 900.0, math.inf])).isfinite().all())
    assert perplexities(torch.tensor([math.log(7.0)])).tolist() == pytest.approx([7.0], rel=MODEL)


def test_a_score_is_a_perplexity_and_its_neighbours_sum() -> None:
    losses = torch.tensor([2.0, 8.0, 1.0, 4.0], dtype=torch.float64).log()
    by_hand = [0.7 * 2 + 0.3 * (2 + 8), 0.7 * 8 + 0.3 * (2 + 1), 0.7 * 1 + 0.3 * (8 + 4), 0.7 * 4 + 0.3 * (1 + 4)]
    assert context_scores(losses, 0.3).tolist() == pytest.approx(by_hand, abs=MODEL)
    assert context_scores(losses, 0.0).tolist() == pytest.approx([2, 8, 1, 4], abs=MODEL)
    assert context_scores(losses[:1], 0.5).tolist() == pytest.approx([0.5 * 2 + 0.5 * 4], abs=MODEL)


@given(points=NUMBERS, samples=st.sampled_from([0.125, 0.29, 0.5, 1.0]), by_sign=st.booleans(), cross=st.booleans())
def test_exactly_the_share_of_samples_is_kept(points, samples: float, by_sign: bool, cross: bool) -> None:
    settings = Quadrants(
        samples,
        candidates=24,
        supplemented="by_sign" if by_sign else "strict",
        band="cross" if cross else "strict",
    )
    assert len(pruned(settings, batch(points))) == max(1, math.floor(round(samples * len(points), 9)))


@given(points=NUMBERS, tokens=st.sampled_from([0.1, 0.5, 0.7, 1.0]), length=st.integers(1, 9))
def test_misconceptions_lose_their_highest_scores_and_nothing_else_does(points, tokens: float, length: int) -> None:
    settings, rows = Quadrants(1.0, tokens, candidates=24), batch(points, length)
    treated = settings.treatment(perplexities(plane(points)[0]), plane(points)[1])
    for uid, emphasis in pruned(settings, rows).items():
        count = max(1, math.floor(round(tokens * length, 9))) if treated[uid] == Quadrant.MISCONCEPTION else length
        assert sum(emphasis) == count
        assert emphasis == [1.0] * count + [0.0] * (length - count)  # losses rise within a sequence


def test_a_misconception_and_a_calibration_are_kept_and_noise_and_the_redundant_are_not() -> None:
    found = pruned(Quadrants(samples=0.5, tokens=0.5, candidates=4), batch(CORNERS))
    assert found == {1: [1.0, 1.0, 0.0, 0.0], 3: [1.0] * 4}


ON_THE_DIAGONAL = [(0.0, 0.0), (1.0, 1.0), (2.0, 2.4), (3.0, 3.0)]


def test_where_the_quadrants_hold_too_little_the_farthest_from_the_diagonal_are_added() -> None:
    losses, doubts = plane(ON_THE_DIAGONAL)
    assert not bool(kept(quadrants(losses, doubts, 0.49)).any())
    lean = imbalance(perplexities(losses), doubts).abs()
    found = pruned(Quadrants(samples=0.5, candidates=4), batch(ON_THE_DIAGONAL))
    assert set(found) == set(lean.topk(2).indices.tolist()) == {1, 2}
    assert all(emphasis == [1.0] * 4 for emphasis in found.values())


def test_what_is_added_may_be_treated_by_its_sign() -> None:
    points = [(0.0, 0.0), (1.0, 2.0), (2.9, 2.2), (3.0, 3.0)]
    assert not bool(kept(quadrants(*plane(points), 0.49)).any())
    lean = imbalance(perplexities(plane(points)[0]), plane(points)[1])
    assert float(lean[1]) < 0 < float(lean[2])
    found = pruned(Quadrants(samples=0.5, candidates=4, supplemented="by_sign"), batch(points))
    assert found == {1: [1.0] * 4, 2: [1.0, 1.0, 0.0, 0.0]}


def test_batches_are_pruned_each_by_itself() -> None:
    settings = Quadrants(samples=0.5, candidates=4)
    shifted = [(loss + 9.0, doubt) for loss, doubt in CORNERS]
    alone, second = pruned(settings, batch(CORNERS)), pruned(settings, batch(shifted))
    both = pruned(settings, batch([*CORNERS, *shifted]))
    assert both == alone | {uid + 4: emphasis for uid, emphasis in second.items()}


def test_a_wrong_label_that_the_policy_is_confident_about_counts_as_a_misconception() -> None:
    """The paper's noise is high in both; this one is not, and is kept."""
    points = [*CORNERS, (7.0, 0.05)]
    treated = Quadrants(samples=0.5).treatment(perplexities(plane(points)[0]), plane(points)[1])
    assert treated[-1] == Quadrant.MISCONCEPTION


def test_a_uniform_policy_has_the_perplexity_and_entropy_of_its_vocabulary() -> None:
    policy = bigram_policy(torch.zeros(5, 5, dtype=torch.float64))
    stage = prepared_stage([()], [LIKELIHOOD], selection=Quadrants())
    (row,) = annotate([sequence([1, 3, 2, 4, 0], spell("ppggg"))], policy, {}, stage)
    losses, doubts = -row.signals["old_logprobs"][2:], row.signals["old_entropy"][2:]
    assert perplexities(losses.mean()).item() == pytest.approx(5.0, rel=MODEL)
    assert doubts.mean().item() == pytest.approx(math.log(5), rel=MODEL)


def test_pruned_tokens_and_samples_have_no_gradient_and_do_not_dilute_the_others() -> None:
    table = torch.randn(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # Each answer token is predicted by a token of its own: 1 -> 2 -> 3 -> 4 and 5 -> 6.
    rows = [
        sequence([1, 2, 3, 4], spell("pggg"), uid=0, group=0, old_logprobs=[0, -5.0, -1.0, -4.0], old_entropy=0.1),
        sequence([5, 6], spell("pg"), uid=1, group=1, old_logprobs=-3.0, old_entropy=0.9),
        sequence([0, 0], spell("pg"), uid=2, group=2, old_logprobs=-0.2, old_entropy=0.2),
        sequence([0, 0], spell("pg"), uid=3, group=3, old_logprobs=-0.1, old_entropy=1.0),
    ]
    chosen = Quadrants(samples=0.25, tokens=0.34, candidates=4, neighbours=0.0).start(0)(rows, None, NOW)
    assert [s.uid for s in chosen] == [0]
    found = accumulate([LIKELIHOOD], chosen, bigram_policy(table))
    touched = found.gradient.view(7, 7).abs().sum(-1) > 0
    assert touched.tolist() == [False, False, True, False, False, False, False]  # 2 predicts 3, the likeliest
    expected = -torch.log_softmax(table[2], -1)[3]
    assert found.losses["likelihood"] == pytest.approx(float(expected), abs=ROUNDING)


def test_what_is_not_finite_is_left_for_the_loop() -> None:
    rows = batch(CORNERS)
    rows[2].signals["old_logprobs"][1] = float("nan")
    assert len(pruned(Quadrants(), rows)) == 4


def test_an_emphasis_that_is_there_is_kept() -> None:
    rows = batch(CORNERS)
    for row in rows:
        row.signals["emphasis/likelihood"] = torch.tensor([1.0, 3.0, 0.5, 3.0, 3.0], dtype=torch.float64)
    found = pruned(Quadrants(samples=0.5, tokens=0.5, candidates=4), rows)
    assert found == {1: [3.0, 0.5, 0.0, 0.0], 3: [3.0, 0.5, 3.0, 3.0]}


def test_an_example_without_an_answer_is_refused() -> None:
    row = sequence([5, 3], spell("po"), old_logprobs=-1.0, old_entropy=1.0)
    with pytest.raises(UserError, match="'x' has no answer"):
        Quadrants().start(0)([row], None, NOW)


@pytest.mark.parametrize(("count", "share", "expected"), [(100, 0.29, 29), (8, 0.125, 1), (7, 0.125, 1), (9, 0.5, 4)])
def test_shares_are_rounded_down_but_never_to_nothing(count: int, share: float, expected: int) -> None:
    assert share_of(count, share) == expected


@pytest.mark.parametrize(
    "settings", [{"samples": 0.0}, {"tokens": 1.5}, {"neighbours": -0.1}, {"candidates": 0}, {"rounds": 0}], ids=str
)
def test_settings_without_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"share|weight|at least 1"):
        Quadrants(**settings)
