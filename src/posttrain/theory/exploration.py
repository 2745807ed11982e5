"""Algorithm 2 of UFT (arXiv 2505.16984, Appendix E): mirror ascent on a search tree, counting explored leaves.

The hint law is a parameter. Drawn uniformly from 0..H it is UFT as the upper bound analyses it (Theorem 4.3); always 0
it is reinforcement fine-tuning without the annotation, to which the lower bound B^H/4 applies (Theorem 4.2). The
theorem's own constants are unusable (about 1.5e7 updates at B=3, H=5), so a practical step size is used and the leaves
until pass@1 reaches one half are measured instead of bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posttrain.theory.tree import Floats, Ints, SearchTree, TabularPolicy, pass_at_1

HintLaw = Callable[[np.random.Generator, int], int]
"""Draws a hint length in 0..H from a generator and the height H."""


def uniform_hint(rng: np.random.Generator, height: int) -> int:
    """Uniform{0..H}: the hint law of Algorithm 2."""
    return int(rng.integers(height + 1))


def no_hint(rng: np.random.Generator, height: int) -> int:
    """Always 0: no access to the annotation. Draws nothing from ``rng``."""
    return 0


@dataclass(frozen=True)
class ExplorationSettings:
    """How long and how fast to learn.

    Args:
        step_size: eta > 0. The theorem asks for 1/sqrt(T); 1 is the practical value.
        kl_coefficient: beta >= 0 of the KL term on the states of the rollout.
        likelihood_coefficient: beta >= 0 of the log-likelihood term on the states of the hint; the paper has one beta
            for both.
        target: the pass@1 at which the problem counts as solved, in (0, 1]; the theorems speak of 0.5.
        leaf_cap: give up once this many leaves were explored.
    """

    step_size: float = 1.0
    kl_coefficient: float = 0.001
    likelihood_coefficient: float = 0.001
    target: float = 0.5
    leaf_cap: int = 1_000_000


@dataclass(frozen=True)
class Exploration:
    """What one run took.

    Args:
        leaves: how many leaf rewards were asked for. The cost of success only where ``solved``; elsewhere the cost
            is unknown and larger (a censored observation).
        solved: whether ``pass_at_1`` reached the target before the cap.
        pass_at_1: the exact value at the end, in [0, 1].
    """

    leaves: int
    solved: bool
    pass_at_1: float


def rollout_change(log_probabilities: Floats, advantages: Floats, step_size: float, kl_coefficient: float) -> Floats:
    """Update (I), on the states of the rollout: eta (A - beta log(pi / pi_ref) - beta), pi_ref uniform.

    The gradient is taken with respect to the probabilities and added to the logits (mirror ascent). Up to a constant
    per state, which no softmax notices, this is the proximal step of rate eta' = eta / (1 - eta beta).

    Args:
        log_probabilities: log pi(.|s), Float["n B"], in nats.
        advantages: A(s, .), Float["n B"].
        step_size: eta.
        kl_coefficient: beta.

    Returns:
        What to add to the logits, Float["n B"].
    """
    log_ratio = log_probabilities + np.log(log_probabilities.shape[-1])
    change: Floats = step_size * (advantages - kl_coefficient * (log_ratio + 1.0))
    return change


def hint_change(log_probabilities: Floats, actions: Ints, step_size: float, likelihood_coefficient: float) -> Floats:
    """Update (II), on the states of the hint: the annotated action's logit rises by eta beta / pi(a*|s*).

    Args:
        log_probabilities: log pi(.|s*), Float["l B"], in nats.
        actions: the annotated actions a*, Int["l"].
        step_size: eta.
        likelihood_coefficient: beta.

    Returns:
        What to add to the logits, Float["l B"]; 0 for every action but a*.
    """
    change = np.zeros_like(log_probabilities)
    hinted = np.arange(len(actions))
    change[hinted, actions] = step_size * likelihood_coefficient * np.exp(-log_probabilities[hinted, actions])
    return change


def rollout_states(tree: SearchTree, policy: TabularPolicy, hint: int, rng: np.random.Generator) -> Ints:
    """The inner states s_l = s*_l, s_{l+1}, .., s_{H-1} of one rollout behind a hint of length l: Int["H-l"]."""
    states = np.empty(tree.height - hint, dtype=np.int64)
    states[:1] = tree.solution_states[hint]
    for step in range(1, len(states)):
        here = states[step - 1 : step]
        states[step] = (here * tree.branching + policy.sample(here, rng))[0]
    return states


def action_values(tree: SearchTree, policy: TabularPolicy, states: Ints, rng: np.random.Generator) -> Floats:
    """One-sample estimates Q(s_h, a): the reward at the end of a fresh rollout from every child of every state.

    Args:
        tree: the problem.
        policy: who rolls out.
        states: consecutive inner states of one rollout, the last of depth H-1, Int["n"].
        rng: source of the rollouts.

    Returns:
        Float["n B"]; n * B leaves were explored.
    """
    ends = states[:, None] * tree.branching + np.arange(tree.branching)
    # Row i starts n-1-i levels above the leaves: at round k exactly the first k rows still have a step to take.
    for moving in range(1, len(states)):
        here = ends[:moving]
        ends[:moving] = here * tree.branching + policy.sample(here, rng)
    return tree.rewards(ends)


def update(
    tree: SearchTree, policy: TabularPolicy, hint: int, settings: ExplorationSettings, rng: np.random.Generator
) -> int:
    """One iteration of Algorithm 2 on ``policy``, in place, behind a hint of length ``hint`` in 0..H.

    Returns:
        The number of leaves explored: B (H - hint). The end of the rollout that fixes the states is not among them,
        because the algorithm never asks for its reward.
    """
    states = rollout_states(tree, policy, hint, rng)
    log_probabilities = policy.log_probabilities(states)
    values = action_values(tree, policy, states, rng)
    advantages = values - (np.exp(log_probabilities) * values).sum(axis=-1, keepdims=True)
    hinted = tree.solution_states[:hint]
    likelihood = hint_change(
        policy.log_probabilities(hinted),
        tree.solution_actions[:hint],
        settings.step_size,
        settings.likelihood_coefficient,
    )
    policy.add(states, rollout_change(log_probabilities, advantages, settings.step_size, settings.kl_coefficient))
    policy.add(hinted, likelihood)
    return values.size


def explore(
    tree: SearchTree, hint_law: HintLaw, settings: ExplorationSettings, rng: np.random.Generator
) -> Exploration:
    """Run Algorithm 2 from the uniform policy until pass@1 reaches the target or the cap of leaves is used up.

    Args:
        tree: the problem.
        hint_law: draws the hint length of each iteration; a law that always hints everything never explores.
        settings: step size, coefficients, target and cap.
        rng: source of hints and rollouts.
    """
    policy = TabularPolicy(tree.branching)
    leaves, reached = 0, pass_at_1(tree, policy)
    while reached < settings.target and leaves < settings.leaf_cap:
        leaves += update(tree, policy, hint_law(rng, tree.height), settings, rng)
        reached = pass_at_1(tree, policy)
    return Exploration(leaves, reached >= settings.target, reached)
