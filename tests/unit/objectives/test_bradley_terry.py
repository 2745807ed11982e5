"""The loss of ranked pairs in numbers, on bigrams whose states are the rows of a table."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from fixtures.models import bigram_policy, random_table
from fixtures.sequences import sequence, spell
from posttrain.batching import PerGroup, collate, weigh
from posttrain.forward import Forward
from posttrain.objectives.bradley_terry import PairedReward
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import FLOAT32_MODEL

TABLE = random_table(5)
WEIGHT = [0.5, -1.0, 2.0, 0.25, -0.75]
FIRST = ([1, 2, 3, 4], [1, 4, 2])
"""A pair after the prompt 1."""
SECOND = ([2, 1], [2, 3, 3])


def score(token: int) -> float:
    """Of every text that ends with this token."""
    return float(TABLE[token] @ torch.tensor(WEIGHT, dtype=torch.float64))


def scorer(bias: float = 0.0, weight=WEIGHT) -> Policy:
    policy, head = bigram_policy(TABLE), nn.Linear(5, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([weight]))
        head.bias.fill_(bias)
    policy.heads = {"score": head}
    return policy


def rows(*pairs, sides=(1.0, -1.0)) -> list[TrainingSequence]:
    made = []
    for group, pair in enumerate(pairs):
        for tokens, side in zip(pair, sides):
            pattern = "p" + "g" * (len(tokens) - 1)
            made.append(sequence(tokens, spell(pattern), uid=len(made), group=group, preference=side))
    return made


def values(made: list[TrainingSequence], policy: Policy) -> tuple[Tensor, float]:
    """Per token of the batch, and the weighted sum under shares per group."""
    term = Term("ranking", PairedReward(), frozenset({Origin.GIVEN, Origin.SAMPLED}), PerGroup())
    batch = collate(weigh(made, [term], float), 0, torch.device("cpu"))
    found = PairedReward()(Forward(policy, batch, batch.weights["ranking"] != 0), batch)
    return found.detach(), float((found * batch.weights["ranking"]).sum().detach())


def test_the_loss_is_of_the_difference_of_the_scores_after_the_last_tokens() -> None:
    expected = math.log1p(math.exp(score(2) - score(4)))
    found, total = values(rows(FIRST), scorer())
    assert found[0, 1:].tolist() == pytest.approx([expected] * 3, rel=FLOAT32_MODEL)
    assert found[1, 1:3].tolist() == pytest.approx([expected] * 2, rel=FLOAT32_MODEL)
    assert total == pytest.approx(expected, rel=FLOAT32_MODEL)


def test_it_is_the_mean_over_pairs_whatever_their_lengths() -> None:
    apart = [values(rows(pair), scorer())[1] for pair in (FIRST, SECOND)]
    assert values(rows(FIRST, SECOND), scorer())[1] == pytest.approx(sum(apart) / 2, rel=FLOAT32_MODEL)
    assert apart[0] != pytest.approx(apart[1])


def test_equal_scores_are_at_log_two() -> None:
    assert values(rows(([1, 2, 3], [1, 4, 3])), scorer())[1] == pytest.approx(math.log(2), rel=FLOAT32_MODEL)
    assert values(rows(FIRST), scorer(weight=[0.0] * 5))[1] == pytest.approx(math.log(2), rel=FLOAT32_MODEL)


def test_a_number_added_to_all_scores_changes_nothing() -> None:
    for pair in (FIRST, SECOND):
        plain, shifted = values(rows(pair), scorer())[1], values(rows(pair), scorer(bias=3.0))[1]
        assert shifted == pytest.approx(plain, rel=FLOAT32_MODEL)


def test_to_swap_the_answers_is_to_turn_the_sign_of_the_score() -> None:
    swapped = values(rows(FIRST, sides=(-1.0, 1.0)), scorer())[1]
    turned = values(rows(FIRST), scorer(weight=[-w for w in WEIGHT]))[1]
    assert swapped == pytest.approx(turned, rel=FLOAT32_MODEL)
    margin = score(4) - score(2)
    assert swapped - values(rows(FIRST), scorer())[1] == pytest.approx(margin, rel=FLOAT32_MODEL)


def test_what_is_observed_after_an_answer_is_no_part_of_it() -> None:
    made = rows(FIRST)
    observed = dataclasses.replace(made[0], origin=torch.tensor([int(o) for o in spell("pggo")]))
    expected = math.log1p(math.exp(score(2) - score(3)))
    assert values([observed, made[1]], scorer())[1] == pytest.approx(expected, rel=FLOAT32_MODEL)


def test_sequences_of_other_streams_have_no_preference() -> None:
    other = sequence([3, 2, 1], spell("psg"), uid=9, stream="others")
    found, _ = values([*rows(FIRST), other], scorer())
    assert found[2].tolist() == [0.0] * 4
    assert bool((found[:2, 1] > 0).all())


@pytest.mark.parametrize("kept", [[0], [0, 2], [0, 0, 1, 1]], ids=str)
def test_a_group_that_is_no_pair_is_refused(kept: list[int]) -> None:
    made = rows(FIRST, SECOND)
    with pytest.raises(ValueError, match="one preferred answer and one rejected"):
        values([dataclasses.replace(made[k], uid=at) for at, k in enumerate(kept)], scorer())
