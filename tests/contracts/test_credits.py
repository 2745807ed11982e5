"""What every credit promises."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.parts import credits
from fixtures.walking import Case
from tolerances import MODEL

CREDITS = pytest.mark.parametrize("case", credits(), ids=str)
REWARDS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(-3, 3), min_size=2, max_size=9)


def as_rewards(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@CREDITS
@given(values=REWARDS)
def test_one_finite_advantage_per_rollout(case: Case, values: list[float]) -> None:
    advantages = case.construct()(as_rewards(values))
    assert advantages.shape == (len(values),)
    assert advantages.dtype == torch.float64
    assert bool(advantages.isfinite().all())


@CREDITS
@given(values=REWARDS, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rollouts_only_orders_the_advantages(case: Case, values: list[float], order) -> None:
    credit, rewards = case.construct(), as_rewards(values)
    shuffled = torch.tensor(order.sample(range(len(values)), len(values)))
    torch.testing.assert_close(credit(rewards[shuffled]), credit(rewards)[shuffled], rtol=MODEL, atol=MODEL)


@CREDITS
@pytest.mark.parametrize("reward", [0.1, 1 / 3, 1.0, 1e6])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_credit_that_compares_finds_nothing_in_equal_rewards(case: Case, reward: float, size: int) -> None:
    credit = case.construct()
    advantages = credit(torch.full((size,), reward, dtype=torch.float64))
    assert not credit.compares or advantages.tolist() == [0.0] * size


@CREDITS
@given(values=REWARDS, added=st.sampled_from([-1.0, 2.0]))
def test_credit_that_compares_sums_to_zero_and_ignores_a_bonus_for_all(
    case: Case, values: list[float], added: float
) -> None:
    credit, rewards = case.construct(), as_rewards([round(v, 3) for v in values])
    if credit.compares:
        assert float(credit(rewards).sum()) == pytest.approx(0.0, abs=MODEL)
        # Rewards so close that adding to them rounds their difference away say nothing.
        if float(rewards.std()) == 0 or float(rewards.std()) > MODEL:
            torch.testing.assert_close(credit(rewards + added), credit(rewards), rtol=MODEL, atol=MODEL)


@CREDITS
@given(values=REWARDS)
def test_a_better_rollout_never_gets_less(case: Case, values: list[float]) -> None:
    rewards = as_rewards(values)
    advantages = case.construct()(rewards)[rewards.argsort()]
    assert bool((advantages.diff() >= -MODEL).all())


@CREDITS
def test_it_says_whether_it_compares(case: Case) -> None:
    assert isinstance(case.construct().compares, bool)
