"""Preferences in numbers, on bigrams whose answers' probabilities are known on paper."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table
from fixtures.sequences import sequence, spell
from posttrain.batching import PerGroup, collate, weigh
from posttrain.forward import Forward
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.preference import BradleyTerry, PairedPreference, SquaredMargin
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import ROUNDING

TABLE, REFERENCE = random_table(5), random_table(5, seed=1)
ANSWER = frozenset({Origin.GIVEN, Origin.SAMPLED})
FIRST = ([1, 2, 3, 4], [1, 4])
"""A pair after the prompt 1: three tokens are preferred to one."""
SECOND = ([2, 1], [2, 3, 3])


def logprob(table: Tensor, tokens: list[int]) -> float:
    """Of everything after the first token, from the table."""
    steps = torch.log_softmax(table, -1)[tokens[:-1], tokens[1:]]
    return float(steps.sum())


def margin(pair) -> float:
    moved = [logprob(TABLE, tokens) - logprob(REFERENCE, tokens) for tokens in pair]
    return moved[0] - moved[1]


def rows(*pairs, sides=(1.0, -1.0)) -> list[TrainingSequence]:
    made = []
    for group, pair in enumerate(pairs):
        for tokens, side in zip(pair, sides):
            known = torch.log_softmax(REFERENCE, -1)[tokens[:-1], tokens[1:]].tolist()
            pattern = "p" + "g" * (len(tokens) - 1)
            signals = {"preference": side, "reference_logprobs": [0.0, *known]}
            made.append(sequence(tokens, spell(pattern), uid=len(made), group=group, **signals))
    return made


def values(objective, made: list[TrainingSequence]) -> tuple[Tensor, Tensor]:
    """Per token of the batch, and the weighted sum under shares per group."""
    term = Term("preference", objective, ANSWER, PerGroup())
    batch = collate(weigh(made, [term], float), 0, torch.device("cpu"))
    forward = Forward(bigram_policy(TABLE), batch, batch.weights["preference"] != 0)
    found = objective(forward, batch)
    return found.detach(), (found * batch.weights["preference"]).sum().detach()


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_the_loss_of_a_pair_stands_on_every_token_of_both_answers(beta: float) -> None:
    expected = math.log1p(math.exp(-beta * margin(FIRST)))
    found, total = values(PairedPreference(BradleyTerry(beta)), rows(FIRST))
    assert found[0, 1:].tolist() == pytest.approx([expected] * 3, abs=ROUNDING)
    assert found[1, 1] == pytest.approx(expected, abs=ROUNDING)
    assert float(total) == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_the_squared_loss_of_a_pair(tau: float) -> None:
    _, total = values(PairedPreference(SquaredMargin(tau)), rows(FIRST))
    assert float(total) == pytest.approx((margin(FIRST) - 1 / (2 * tau)) ** 2, abs=ROUNDING)


@pytest.mark.parametrize("loss", [BradleyTerry(0.7), SquaredMargin(0.7)], ids=str)
def test_under_shares_per_group_it_is_the_mean_over_pairs_whatever_their_lengths(loss) -> None:
    apart = [float(values(PairedPreference(loss), rows(pair))[1]) for pair in (FIRST, SECOND)]
    _, together = values(PairedPreference(loss), rows(FIRST, SECOND))
    assert float(together) == pytest.approx(sum(apart) / 2, abs=ROUNDING)
    assert apart[0] != pytest.approx(apart[1])


def test_swapping_the_answers_negates_the_margin() -> None:
    tensor = torch.tensor([margin(FIRST)], dtype=torch.float64)
    for loss in (BradleyTerry(0.7), SquaredMargin(0.7)):
        _, swapped = values(PairedPreference(loss), rows(FIRST, sides=(-1.0, 1.0)))
        assert float(swapped) == pytest.approx(float(loss(-tensor)), abs=ROUNDING)


def test_log_probabilities_are_summed_and_not_averaged() -> None:
    """Averaging over tokens would give this pair of a long and a short answer another margin."""
    long, short = FIRST
    averaged = (logprob(TABLE, long) - logprob(REFERENCE, long)) / 3 - (
        logprob(TABLE, short) - logprob(REFERENCE, short)
    )
    assert averaged != pytest.approx(margin(FIRST), abs=0.1)
    _, total = values(PairedPreference(BradleyTerry(1.0)), rows(FIRST))
    assert float(total) == pytest.approx(math.log1p(math.exp(-margin(FIRST))), abs=ROUNDING)


def test_a_policy_that_is_its_reference_is_at_log_two() -> None:
    for row in (made := rows(FIRST, SECOND)):
        own = torch.log_softmax(TABLE, -1)[row.tokens[:-1], row.tokens[1:]]
        row.signals["reference_logprobs"][1:] = own
    found, _ = values(PairedPreference(BradleyTerry(3.0)), made)
    assert found[:, 1].tolist() == pytest.approx([math.log(2)] * 4, abs=ROUNDING)


def test_what_is_observed_is_no_part_of_an_answer() -> None:
    made = rows(FIRST)
    observed = dataclasses.replace(made[0], origin=torch.tensor([int(o) for o in spell("pgog")]))
    everything = frozenset({*ANSWER, Origin.OBSERVED})
    terms = [
        Term("preference", PairedPreference(), ANSWER, PerGroup()),
        Term("all", CrossEntropy(), everything, PerGroup()),
    ]
    batch = collate(weigh([observed, made[1]], terms, float), 0, torch.device("cpu"))
    positions = torch.stack([w != 0 for w in batch.weights.values()]).any(0)
    found = PairedPreference()(Forward(bigram_policy(TABLE), batch, positions), batch)
    steps = torch.log_softmax(TABLE, -1) - torch.log_softmax(REFERENCE, -1)
    expected = 0.1 * float(steps[1, 2] + steps[3, 4] - steps[1, 4])
    assert float(found[0, 1].detach()) == pytest.approx(math.log1p(math.exp(-expected)), abs=ROUNDING)


def test_sequences_of_other_streams_have_no_preference() -> None:
    other = sequence([3, 2, 1], spell("psg"), uid=9, stream="others")
    found, _ = values(PairedPreference(), [*rows(FIRST), other])
    assert found[2].tolist() == [0.0] * 4
    assert bool((found[:2, 1] > 0).all())


@pytest.mark.parametrize("kept", [[0], [1], [0, 2], [0, 1, 2], [0, 0, 1, 1]], ids=str)
def test_a_group_that_is_no_pair_is_refused(kept: list[int]) -> None:
    made = rows(FIRST, SECOND)
    with pytest.raises(ValueError, match="one preferred answer and one rejected"):
        values(PairedPreference(), [dataclasses.replace(made[k], uid=at) for at, k in enumerate(kept)])


def test_a_preference_that_changes_within_an_answer_is_refused() -> None:
    made = rows(FIRST)
    made[0].signals["preference"][2] = 0.0
    with pytest.raises(ValueError, match="all of their tokens"):
        values(PairedPreference(), made)


@pytest.mark.parametrize("make", [lambda: BradleyTerry(0.0), lambda: BradleyTerry(-1.0), lambda: SquaredMargin(0.0)])
def test_strengths_without_meaning_are_refused(make) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        make()


def test_a_clear_pair_neither_overflows_nor_loses_its_gradient() -> None:
    margins = torch.tensor([-2000.0, 2000.0], dtype=torch.float64, requires_grad=True)
    losses = BradleyTerry(1.0)(margins)
    losses.sum().backward()
    assert losses.tolist() == [2000.0, 0.0]
    assert margins.grad.tolist() == [-1.0, 0.0]
