import numpy as np
import pytest

from posttrain.theory.tree import SearchTree, TabularPolicy, pass_at_1, random_tree


def states(*numbers):
    return np.array(numbers, dtype=np.int64)


def test_the_annotated_path_is_numbered_from_the_root():
    tree = SearchTree(branching=3, height=3, solution=(0, 2, 1))
    assert tree.solution_states.tolist() == [1, 3, 11, 34]


def test_only_the_annotated_leaf_is_rewarded():
    tree = SearchTree(branching=2, height=3, solution=(1, 0, 1))
    leaves = np.arange(8, 16)
    assert tree.rewards(leaves).tolist() == [0.1, 0.1, 0.1, 0.1, 0.1, 1.0, 0.1, 0.1]


@pytest.mark.parametrize(("branching", "height"), [(2, 1), (3, 4), (4, 8), (3, 24)])
def test_the_uniform_policy_is_right_once_in_all_leaves(branching, height):
    tree = random_tree(branching, height, np.random.default_rng(0))
    assert pass_at_1(tree, TabularPolicy(branching)) == pytest.approx(float(branching) ** -height, rel=1e-12)


def test_pass_at_1_is_the_product_along_the_annotated_path():
    tree = SearchTree(branching=2, height=2, solution=(0, 1))
    policy = TabularPolicy(2)
    policy.add(states(1), np.array([[np.log(3.0), 0.0]]))  # pi(0|root) = 3/4
    policy.add(states(2), np.array([[np.log(4.0), 0.0]]))  # pi(1|child 0) = 1/5
    policy.add(states(3), np.array([[0.0, 9.0]]))  # off the path: must not matter
    assert pass_at_1(tree, policy) == pytest.approx(0.75 * 0.2, rel=1e-12)


def test_only_updated_states_are_stored_and_all_survive_growth():
    policy = TabularPolicy(3)
    assert len(policy) == 0
    for state in range(1, 301):
        policy.add(states(state), np.full((1, 3), float(state)) * [0.0, 1.0, 0.0])
    assert len(policy) == 300
    assert policy.logits(np.arange(1, 301))[:, 1].tolist() == list(range(1, 301))
    assert policy.logits(states(999)).tolist() == [[0.0, 0.0, 0.0]]


def test_a_state_named_twice_in_one_update_gets_both_changes():
    policy = TabularPolicy(2)
    policy.add(states(5, 5, 6), np.array([[1.0, 0.0], [2.0, 0.5], [0.0, 7.0]]))
    assert policy.logits(states(5, 6)).tolist() == [[3.0, 0.5], [0.0, 7.0]]


def test_log_probabilities_stay_finite_far_from_uniform():
    policy = TabularPolicy(2)
    policy.add(states(1), np.array([[2000.0, 0.0]]))
    assert policy.log_probabilities(states(1)).tolist() == [[0.0, -2000.0]]


def test_actions_are_drawn_with_the_policy_s_probabilities():
    policy = TabularPolicy(3)
    policy.add(states(1), np.log([[0.2, 0.7, 0.1]]))
    drawn = policy.sample(np.ones(20_000, dtype=np.int64), np.random.default_rng(0))
    shares = np.bincount(drawn, minlength=3) / 20_000
    assert shares == pytest.approx([0.2, 0.7, 0.1], abs=4 * 0.5 / np.sqrt(20_000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"branching": 1, "height": 2, "solution": (0, 0)},
        {"branching": 3, "height": 0, "solution": ()},
        {"branching": 3, "height": 2, "solution": (0,)},
        {"branching": 3, "height": 2, "solution": (0, 3)},
        {"branching": 3, "height": 40, "solution": (0,) * 40},
        {"branching": 3, "height": 1, "solution": (0,), "wrong_reward": 1.0},
    ],
)
def test_a_tree_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"tree|solution|rewards|leaves"):
        SearchTree(**wrong)
