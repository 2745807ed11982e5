"""The search tree, the tabular softmax policy on it, and its exact pass@1.

A state is an integer: the root is 1 and the child that action ``a`` leads to is ``state * B + a``. The states of depth
h are therefore exactly the integers in [B^h, 2 B^h), no two depths share one, and nothing has to be allocated for a
state that nobody visited.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROOT = 1


@dataclass(frozen=True)
class SearchTree:
    """A reasoning problem as a tree: H steps, B choices at each, one right leaf (UFT, Section 4).

    Args:
        branching: B, the number of actions at every inner state, at least 2.
        height: H, the number of steps from the root to a leaf, at least 1.
        solution: the annotated actions a*_0 .. a*_{H-1}, each in 0..B-1.
        right_reward: reward of the one right leaf, in [0, 1].
        wrong_reward: reward of every other leaf; the paper's gap Delta is ``right_reward - wrong_reward`` > 0.
    """

    branching: int
    height: int
    solution: tuple[int, ...]
    right_reward: float = 1.0
    wrong_reward: float = 0.1

    def __post_init__(self) -> None:
        """Refuse a tree that does not exist or whose leaves have no 64-bit number."""
        if self.branching < 2 or self.height < 1:
            raise ValueError(f"a tree needs branching >= 2 and height >= 1, got {self.branching} and {self.height}")
        if len(self.solution) != self.height or not all(0 <= action < self.branching for action in self.solution):
            raise ValueError(f"a solution has {self.height} actions in 0..{self.branching - 1}, got {self.solution}")
        if not 0 <= self.wrong_reward < self.right_reward <= 1:
            raise ValueError(f"rewards obey 0 <= wrong < right <= 1, got {self.wrong_reward} and {self.right_reward}")
        if 2 * self.branching**self.height > np.iinfo(np.int64).max:
            raise ValueError(f"{self.branching}^{self.height} leaves are too many to number")

    @cached_property
    def solution_states(self) -> Ints:
        """The annotated path s*_0 .. s*_H, Int["H+1"]: the root first, the right leaf last."""
        states = [ROOT]
        for action in self.solution:
            states.append(states[-1] * self.branching + action)
        return np.array(states, dtype=np.int64)

    @cached_property
    def solution_actions(self) -> Ints:
        """The annotated actions a*_0 .. a*_{H-1}, Int["H"]."""
        return np.array(self.solution, dtype=np.int64)

    def rewards(self, leaves: Ints) -> Floats:
        """The reward of each leaf, same shape; asking is what counts as exploring a leaf."""
        return np.where(leaves == self.solution_states[-1], self.right_reward, self.wrong_reward)


def random_tree(branching: int, height: int, rng: np.random.Generator) -> SearchTree:
    """A tree whose right leaf is drawn uniformly, as in the proof of the lower bound (UFT, Theorem 4.2)."""
    return SearchTree(branching, height, tuple(rng.integers(branching, size=height).tolist()))


class TabularPolicy:
    """pi(a|s) = softmax(theta[s])[a] with one logit vector per state, uniform until a state is first updated.

    Only updated states are stored: a dictionary from state to a row of one growing array. Row 0 stays zero and stands
    for every state that is not stored; it is the reference policy as well.

    Args:
        branching: B, the length of every logit vector.
    """

    def __init__(self, branching: int) -> None:
        self.branching = branching
        self._row: dict[int, int] = {}
        self._logits: Floats = np.zeros((64, branching))

    def __len__(self) -> int:
        """The number of stored states."""
        return len(self._row)

    def logits(self, states: Ints) -> Floats:
        """theta[s] of each state: Int["..."] -> Float["... B"]."""
        stored = self._row
        rows = [stored.get(state, 0) for state in states.ravel().tolist()]
        return self._logits[rows].reshape(*states.shape, self.branching)

    def log_probabilities(self, states: Ints) -> Floats:
        """The policy in nats, log pi(.|s) of each state: Int["..."] -> Float["... B"]."""
        logits = self.logits(states)
        logits -= logits.max(axis=-1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return logits

    def sample(self, states: Ints, rng: np.random.Generator) -> Ints:
        """One action a ~ pi(.|s) for each state: Int["..."] -> Int["..."]."""
        weights = np.exp(self.logits(states))
        below = weights.cumsum(axis=-1)
        threshold = rng.random(states.shape) * below[..., -1]
        # The last edge is left out so that no rounding can produce an action B.
        actions: Ints = (threshold[..., None] >= below[..., :-1]).sum(axis=-1)
        return actions

    def add(self, states: Ints, change: Floats) -> None:
        """theta[s] += change for each state, Int["n"] and Float["n B"]; a state that occurs twice gets both."""
        rows = [self._row.setdefault(state, len(self._row) + 1) for state in states.tolist()]
        missing = len(self._row) + 1 - len(self._logits)
        if missing > 0:
            room = max(missing, len(self._logits))
            self._logits = np.concatenate([self._logits, np.zeros((room, self.branching))])
        np.add.at(self._logits, rows, change)


def pass_at_1(tree: SearchTree, policy: TabularPolicy) -> float:
    """The exact probability that one sampled answer is right: prod_h pi(a*_h | s*_h), in [0, 1]."""
    log_probabilities = policy.log_probabilities(tree.solution_states[:-1])
    return float(np.exp(log_probabilities[np.arange(tree.height), tree.solution_actions].sum()))
