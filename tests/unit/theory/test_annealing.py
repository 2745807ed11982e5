import dataclasses

import numpy as np
import pytest

from posttrain.theory.annealing import (
    ARMS,
    AnnealingSettings,
    Arm,
    anneal,
    ascend,
    binomial_cosine,
    hint_fraction,
    kl_gradient,
    log_likelihood_gradient,
    roll_out,
    staircase,
    standardised,
    unhinted,
    uniform,
)
from posttrain.theory.tree import SearchTree, TabularPolicy, random_tree

TREE = SearchTree(branching=3, height=2, solution=(0, 2))
SETTINGS = AnnealingSettings()
SHORT = AnnealingSettings(steps=20, hint_steps=12)


def full(step, height, settings, rng):
    return np.full(settings.groups, height)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_the_cosine_starts_high_crosses_half_and_ends_low():
    settings = AnnealingSettings(steps=500, hint_steps=300)
    assert hint_fraction(0, settings) == pytest.approx(0.95, abs=1e-4)
    assert hint_fraction(149, settings) == pytest.approx(0.5, abs=1e-12)
    assert hint_fraction(299, settings) == pytest.approx(0.05, abs=1e-12)


@pytest.mark.parametrize("schedule", [staircase, binomial_cosine])
def test_nothing_is_hinted_after_the_hinted_phase(schedule):
    rng = np.random.default_rng(0)
    assert all(schedule(step, 8, SETTINGS, rng).sum() == 0 for step in range(120, 200))


def test_the_binomial_has_the_schedule_s_mean_and_spread():
    settings = dataclasses.replace(SETTINGS, groups=40_000)
    fraction = hint_fraction(40, settings)
    drawn = binomial_cosine(40, 8, settings, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(8 * fraction, abs=4 * np.sqrt(8 * 0.25 / 40_000))
    assert drawn.var() == pytest.approx(8 * fraction * (1 - fraction), rel=0.05)


def test_the_staircase_spends_equal_time_on_every_length():
    settings = AnnealingSettings(steps=100, hint_steps=90)
    lengths = [int(staircase(step, 8, settings, np.random.default_rng(0))[0]) for step in range(90)]
    assert lengths == [length for length in range(8, -1, -1) for _ in range(10)]


def test_the_uniform_schedule_never_fades():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([uniform(199, 4, SETTINGS, rng) for _ in range(1_000)])
    assert np.bincount(drawn, minlength=5) / len(drawn) == pytest.approx(np.full(5, 0.2), abs=0.02)


def test_advantages_by_hand_and_none_where_rewards_agree():
    advantages = standardised(np.array([[1.0, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]]))
    assert advantages[0] == pytest.approx([1.5, -0.5, -0.5, -0.5], rel=1e-5)  # deviation 0.45
    assert advantages[1].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    theta, actions, small = rng.normal(size=(6, 4)), rng.integers(4, size=6), 1e-6

    def objectives(logits):
        log_pi = log_softmax(logits)
        return log_pi[np.arange(6), actions], (np.exp(log_pi) * (log_pi + np.log(4))).sum(axis=-1)

    likelihood, divergence = np.empty_like(theta), np.empty_like(theta)
    for action in range(4):
        nudge = small * (np.arange(4) == action)
        above, below = objectives(theta + nudge), objectives(theta - nudge)
        likelihood[:, action] = (above[0] - below[0]) / (2 * small)
        divergence[:, action] = (above[1] - below[1]) / (2 * small)
    assert log_likelihood_gradient(log_softmax(theta), actions) == pytest.approx(likelihood, abs=1e-8)
    assert kl_gradient(log_softmax(theta)) == pytest.approx(divergence, abs=1e-8)


def test_a_rollout_obeys_its_hint_and_then_the_policy():
    policy = TabularPolicy(3)
    policy.add(TREE.solution_states[:-1], np.array([[0.0, 90.0, 0.0], [90.0, 0.0, 0.0]]))
    states, actions, rewards = roll_out(TREE, policy, np.array([2, 1, 0]), np.random.default_rng(0))
    assert actions[0].tolist() == [0, 2]
    assert actions[1].tolist() == [0, 0]
    assert actions[2, 0] == 1
    assert states.tolist() == [[1, 3], [1, 3], [1, 4]]
    assert rewards.tolist() == [1.0, 0.1, 0.1]


def test_a_fully_hinted_update_is_supervised_learning_by_hand():
    # Every answer of every group adds 0.1 (onehot - 1/3) at both annotated states; their mean times eta = 3.
    policy = TabularPolicy(3)
    settings = AnnealingSettings(step_size=3.0, kl_coefficient=5.0)
    ascend(TREE, policy, Arm("supervised", full, 0.1), 0, settings, np.random.default_rng(0))
    expected = [[0.2, -0.1, -0.1], [-0.1, -0.1, 0.2]]
    assert policy.logits(TREE.solution_states[:-1]) == pytest.approx(np.array(expected), abs=1e-12)
    assert len(policy) == 2


def test_hinted_states_have_no_policy_gradient():
    policy = TabularPolicy(3)

    def first_step_given(step, height, settings, rng):
        return np.ones(settings.groups, dtype=np.int64)

    ascend(TREE, policy, Arm("hinted", first_step_given, 0.0), 0, SETTINGS, np.random.default_rng(0))
    assert policy.logits(np.array([1])).tolist() == [[0.0, 0.0, 0.0]]
    assert policy.logits(np.array([3]))[0, 2] > 0


def test_the_likelihood_coefficient_is_all_that_parts_uft_from_the_cosine():
    def reached(schedule, coefficient):
        tree = random_tree(4, 6, np.random.default_rng(0))
        return anneal(tree, Arm("any", schedule, coefficient), SHORT, np.random.default_rng(1))

    arms = {arm.method: arm for arm in ARMS}
    assert arms["uft"].schedule is arms["cosine"].schedule
    assert reached(binomial_cosine, 0.1) != reached(binomial_cosine, 0.0)
    assert reached(unhinted, 0.1) == reached(unhinted, 0.0)


def test_every_arm_has_the_same_budget():
    assert SETTINGS.leaves == 6_400
    assert [arm.method for arm in ARMS] == ["rft", "r3", "staged", "cosine", "uft"]
