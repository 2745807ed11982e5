"""What every credit promises."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.parts import credits
from fixtures.sequences import judged, ragged
from fixtures.walking import Case
from posttrain.signals import role_and_quantity
from posttrain.types import TrainingSequence
from tolerances import MODEL

EVERY = credits()
CREDITS = pytest.mark.parametrize("case", EVERY, ids=str)
COMPARING = pytest.mark.parametrize("case", [case for case in EVERY if case.construct().compares], ids=str)
RELATIVE = pytest.mark.parametrize("case", [c for c in EVERY if hasattr(c.part, "relative")], ids=str)
REWARDS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(-3, 3), min_size=2, max_size=9)


def rewarded(values: list[float], needs: frozenset[str], groups: int = 1) -> list[TrainingSequence]:
    """Judged sequences with every signal that the credit reads, in groups of as equal a size as may be."""
    noise = torch.Generator().manual_seed(0)
    made = []
    for row, value in zip(ragged(len(values)), values, strict=True):
        known = {n: torch.randn(len(row.tokens), generator=noise, dtype=torch.float64) for n in sorted(needs)}
        group = row.uid * groups // len(values)
        rollout = dataclasses.replace(judged(row.rollout, value), group=group)
        made.append(dataclasses.replace(row, rollout=rollout, signals=known))
    return made


def flat(signals: list) -> list[Tensor]:
    return [torch.cat([s[name] for name in sorted(s)]) for s in signals]


@CREDITS
@given(values=REWARDS)
def test_it_gives_every_token_what_it_says_it_provides(case: Case, values: list[float]) -> None:
    credit = case.construct()
    rows = rewarded(values, credit.needs)
    for row, signals in zip(rows, credit(rows), strict=True):
        assert set(signals) == credit.provides
        for found in signals.values():
            assert found.shape == row.tokens.shape
            assert bool(found.isfinite().all())


@CREDITS
@given(values=REWARDS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rollouts_only_orders_the_advantages(case: Case, values: list[float], order) -> None:
    credit = case.construct()
    rows = rewarded(values, credit.needs, groups=2)
    shuffled = order.sample(range(len(rows)), len(rows))
    found, again = flat(credit(rows)), flat(credit([rows[i] for i in shuffled]))
    for position, index in enumerate(shuffled):
        torch.testing.assert_close(again[position], found[index], rtol=MODEL, atol=MODEL)


@CREDITS
def test_it_needs_signals_that_models_compute(case: Case) -> None:
    credit = case.construct()
    assert isinstance(credit.compares, bool)
    assert isinstance(credit.reads_rewards, bool)
    assert "advantages" in credit.provides
    assert all(role_and_quantity(name) is not None for name in credit.needs)


@CREDITS
def test_it_says_whether_it_reads_rewards(case: Case) -> None:
    credit = case.construct()
    judged_rows = rewarded([0.0, 1.0, 0.5], credit.needs)
    rows = [dataclasses.replace(s, rollout=dataclasses.replace(s.rollout, verdict=None)) for s in judged_rows]
    if credit.reads_rewards:
        with pytest.raises(ValueError, match="no score"):
            credit(rows)
    else:
        assert all(torch.equal(a, b) for a, b in zip(flat(credit(rows)), flat(credit(judged_rows)), strict=True))


@COMPARING
@given(values=REWARDS)
def test_credit_that_compares_does_so_within_the_group(case: Case, values: list[float]) -> None:
    credit = case.construct()
    alone = rewarded(values, credit.needs)
    others = [
        dataclasses.replace(s, uid=s.uid + 100, rollout=dataclasses.replace(s.rollout, group="other"))
        for s in rewarded([v + 1.0 for v in values], credit.needs)
    ]
    for one, both in zip(flat(credit(alone)), flat(credit([*others, *alone]))[len(others) :], strict=True):
        torch.testing.assert_close(both, one, rtol=MODEL, atol=MODEL)


def as_rewards(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@RELATIVE
@pytest.mark.parametrize("reward", [0.1, 1 / 3, 1.0, 1e6])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_equal_rewards_say_exactly_nothing(case: Case, reward: float, size: int) -> None:
    assert case.construct().relative(torch.full((size,), reward, dtype=torch.float64)).tolist() == [0.0] * size


@RELATIVE
@given(values=REWARDS, added=st.sampled_from([-1.0, 2.0]))
def test_relative_credit_sums_to_zero_and_ignores_a_bonus_for_all(
    case: Case, values: list[float], added: float
) -> None:
    relative, rewards = case.construct().relative, as_rewards([round(v, 3) for v in values])
    assert float(relative(rewards).sum()) == pytest.approx(0.0, abs=MODEL)
    # Rewards so close that adding to them rounds their difference away say nothing.
    if float(rewards.std()) == 0 or float(rewards.std()) > MODEL:
        torch.testing.assert_close(relative(rewards + added), relative(rewards), rtol=MODEL, atol=MODEL)


@RELATIVE
@given(values=REWARDS)
def test_a_better_rollout_never_gets_less(case: Case, values: list[float]) -> None:
    rewards = as_rewards(values)
    advantages = case.construct().relative(rewards)[rewards.argsort()]
    assert bool((advantages.diff() >= -MODEL).all())
