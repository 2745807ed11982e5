import numpy as np
import pytest

from posttrain.theory.experiment import explore_once
from posttrain.theory.exploration import (
    ExplorationSettings,
    action_values,
    explore,
    hint_change,
    no_hint,
    rollout_change,
    uniform_hint,
    update,
)
from posttrain.theory.tree import SearchTree, TabularPolicy, random_tree

TREE = SearchTree(branching=3, height=2, solution=(0, 2))  # solution states 1, 3, 11


def zero(rng, height):
    return 0


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def test_a_hinted_state_s_annotated_action_rises_by_eta_beta_over_pi():
    log_probabilities = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    change = hint_change(log_probabilities, np.array([1, 0]), step_size=2.0, likelihood_coefficient=0.01)
    assert change == pytest.approx(np.array([[0.0, 0.08, 0.0], [0.2, 0.0, 0.0]]), rel=1e-12)


def test_a_rollout_state_moves_by_advantage_and_towards_the_reference():
    # eta (A - beta log(3 pi) - beta) with eta 2, beta 0.1, pi = (2/3, 1/3, 0+): the second entry has log ratio 0.
    log_probabilities = np.log([[2 / 3, 1 / 3 - 1e-9, 1e-9]])
    change = rollout_change(log_probabilities, np.array([[0.3, -0.6, 0.0]]), step_size=2.0, kl_coefficient=0.1)
    assert change[0, 0] == pytest.approx(0.6 - 0.2 * np.log(2) - 0.2)
    assert change[0, 1] == pytest.approx(-1.2 - 0.2)
    assert change[0, 2] == pytest.approx(-0.2 * np.log(3e-9) - 0.2)


def test_the_explicit_step_is_the_proximal_one_at_rate_eta_over_one_plus_eta_beta():
    rng = np.random.default_rng(0)
    eta, beta = 1.7, 0.3
    theta, advantages = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    proximal = (theta + eta * advantages) / (1 + eta * beta)  # the reference logits are 0
    explicit = theta + rollout_change(np.log(softmax(theta)), advantages, eta / (1 + eta * beta), beta)
    assert softmax(explicit) == pytest.approx(softmax(proximal), abs=1e-12)


def test_one_update_behind_a_hint_worked_by_hand():
    # Hint of length 1: the rollout starts at state 3, one step above the leaves 9, 10, 11, so nothing is left to
    # chance. Rewards 0.1, 0.1, 1.0; their mean 0.4; advantages -0.3, -0.3, 0.6. The root is hinted: pi = 1/3.
    policy = TabularPolicy(3)
    settings = ExplorationSettings(step_size=2.0, kl_coefficient=0.01, likelihood_coefficient=0.05)
    leaves = update(TREE, policy, 1, settings, np.random.default_rng(0))
    assert leaves == 3
    assert len(policy) == 2
    assert policy.logits(np.array([1]))[0] == pytest.approx([2 * 0.05 * 3, 0.0, 0.0])
    assert policy.logits(np.array([3]))[0] == pytest.approx([-0.62, -0.62, 1.18])


def test_a_tree_of_height_one_is_solved_by_one_update():
    # Advantages (0.6, -0.3, -0.3) at eta 1 put the right action 0.9 above the others.
    tree = SearchTree(branching=3, height=1, solution=(0,))
    run = explore(tree, no_hint, ExplorationSettings(), np.random.default_rng(0))
    assert (run.leaves, run.solved) == (3, True)
    assert run.pass_at_1 == pytest.approx(np.exp(0.9) / (np.exp(0.9) + 2), rel=1e-12)


def test_rollouts_from_the_children_follow_the_policy():
    tree = random_tree(3, 5, np.random.default_rng(1))
    policy = TabularPolicy(3)
    push = np.zeros((5, 3))
    push[np.arange(5), tree.solution_actions] = 60.0
    policy.add(tree.solution_states[:-1], push)
    values = action_values(tree, policy, tree.solution_states[:-1], np.random.default_rng(2))
    expected = np.where(np.arange(3) == tree.solution_actions[:, None], 1.0, 0.1)
    assert values.tolist() == expected.tolist()


def test_action_values_are_unbiased():
    rng = np.random.default_rng(3)
    tree, policy = SearchTree(2, 3, (1, 0, 1)), TabularPolicy(2)
    drawn = np.mean([action_values(tree, policy, tree.solution_states[:-1], rng) for _ in range(4_000)], axis=0)
    expected = [[0.1, 0.1 + 0.9 / 4], [0.1 + 0.9 / 2, 0.1], [0.1, 1.0]]
    assert drawn == pytest.approx(np.array(expected), abs=4 * 0.45 / np.sqrt(4_000))


@pytest.mark.parametrize("hint", range(6))
def test_an_update_explores_every_child_of_every_rollout_state(hint):
    tree = random_tree(3, 5, np.random.default_rng(0))
    leaves = update(tree, TabularPolicy(3), hint, ExplorationSettings(), np.random.default_rng(1))
    assert leaves == 3 * (5 - hint)


@pytest.mark.parametrize("law", [no_hint, uniform_hint])
def test_leaves_are_the_rewards_that_were_asked_for(law, monkeypatch):
    asked = []
    answer = SearchTree.rewards

    def count(tree, leaves):
        assert ((leaves >= 3**4) & (leaves < 2 * 3**4)).all()
        asked.append(leaves.size)
        return answer(tree, leaves)

    monkeypatch.setattr(SearchTree, "rewards", count)
    tree = random_tree(3, 4, np.random.default_rng(0))
    run = explore(tree, law, ExplorationSettings(), np.random.default_rng(1))
    assert run.leaves == sum(asked) > 0


def test_a_capped_run_says_that_it_is_unsolved():
    tree = random_tree(3, 8, np.random.default_rng(0))
    run = explore(tree, no_hint, ExplorationSettings(leaf_cap=100), np.random.default_rng(0))
    assert not run.solved
    assert run.pass_at_1 < 0.5
    assert 100 <= run.leaves < 100 + 3 * 8


def test_a_solved_run_stops_at_the_target():
    tree = random_tree(3, 4, np.random.default_rng(0))
    half = explore(tree, uniform_hint, ExplorationSettings(), np.random.default_rng(0))
    sure = explore(tree, uniform_hint, ExplorationSettings(target=0.9), np.random.default_rng(0))
    assert half.solved
    assert sure.solved
    assert 0.5 <= half.pass_at_1 < 0.9 <= sure.pass_at_1
    assert half.leaves < sure.leaves


def test_a_seed_fixes_the_run():
    def row(seed):
        return explore_once("uft", uniform_hint, 3, 6, seed, ExplorationSettings())

    assert row(4) == row(4)
    assert row(4).pass_at_1 != row(5).pass_at_1


def test_without_hints_uft_is_rft_whatever_the_likelihood_weighs():
    rft = explore_once("any", no_hint, 3, 5, 0, ExplorationSettings())
    unhinted = explore_once("any", zero, 3, 5, 0, ExplorationSettings(likelihood_coefficient=7.0))
    hinted = explore_once("any", uniform_hint, 3, 5, 0, ExplorationSettings())
    assert unhinted == rft
    assert hinted != rft


def test_the_uniform_law_reaches_every_length_equally_often():
    rng = np.random.default_rng(0)
    counts = np.bincount([uniform_hint(rng, 4) for _ in range(10_000)], minlength=5)
    assert len(counts) == 5
    assert counts / 10_000 == pytest.approx(np.full(5, 0.2), abs=4 * 0.4 / 100)
