"""How the hint should fade: five schedules on the search tree under the gradient that language models use.

Algorithm 1 of UFT (arXiv 2505.16984, Section 3) on a tabular policy: groups of rollouts behind one hint each,
standardised group advantages (GRPO), an exact KL term on the sampled states, a likelihood term on the hinted states,
and the true softmax gradient. All arms spend the same number of sampled answers. A problem of height H is annotated
with H chunks, one per action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posttrain.theory.tree import Floats, Ints, SearchTree, TabularPolicy, pass_at_1


@dataclass(frozen=True)
class AnnealingSettings:
    """The budget and the optimiser, the same for every arm.

    Args:
        steps: updates, at least 1.
        hint_steps: T_hint, the number of first updates whose hints may be longer than 0 (where an arm anneals).
        groups: prompts per update, each with a hint of its own.
        rollouts: answers per group, at least 2 because credit compares them.
        step_size: eta of plain gradient ascent on the logits.
        kl_coefficient: weight of the exact KL(pi || pi_ref) summed over the sampled steps of an answer.
        fraction_high, fraction_low: the ends of the cosine, in [0, 1] (paper: 0.95 and 0.05).
    """

    steps: int = 200
    hint_steps: int = 120
    groups: int = 8
    rollouts: int = 4
    step_size: float = 2.0
    kl_coefficient: float = 0.001
    fraction_high: float = 0.95
    fraction_low: float = 0.05

    @property
    def leaves(self) -> int:
        """Sampled answers of a whole run, each one explored leaf (a fully hinted answer is judged as well)."""
        return self.steps * self.groups * self.rollouts


HintSchedule = Callable[[int, int, AnnealingSettings, np.random.Generator], Ints]
"""Draws the hint length of every group, Int["groups"] in 0..H, from the 0-based step, H, settings and a generator."""


def unhinted(step: int, height: int, settings: AnnealingSettings, rng: np.random.Generator) -> Ints:
    """No hint, l = 0: reinforcement fine-tuning."""
    return np.zeros(settings.groups, dtype=np.int64)


def uniform(step: int, height: int, settings: AnnealingSettings, rng: np.random.Generator) -> Ints:
    """Never annealed: l ~ Uniform{0..H} during the whole run (R3, arXiv 2402.05808, as UFT compares with it)."""
    return rng.integers(height + 1, size=settings.groups)


def staircase(step: int, height: int, settings: AnnealingSettings, rng: np.random.Generator) -> Ints:
    """Staged: l = H, H-1, .., 0 in equal parts of the first T_hint steps, then 0; the same for all groups."""
    length = max(0, height - step * (height + 1) // settings.hint_steps)
    return np.full(settings.groups, length, dtype=np.int64)


def binomial_cosine(step: int, height: int, settings: AnnealingSettings, rng: np.random.Generator) -> Ints:
    """Annealed: l ~ Binomial(H, p_t), p_t along a half cosine; exactly 0 from step T_hint on (UFT, Algorithm 1)."""
    if step >= settings.hint_steps:
        return unhinted(step, height, settings, rng)
    return rng.binomial(height, hint_fraction(step, settings), size=settings.groups)


def hint_fraction(step: int, settings: AnnealingSettings) -> float:
    """p_t = p_low + (p_high - p_low) (1 + cos(pi (t+1) / T_hint)) / 2 for 0 <= t < T_hint (UFT, equation B.1)."""
    wave = 1.0 + np.cos(np.pi * (step + 1) / settings.hint_steps)
    return float(settings.fraction_low + 0.5 * (settings.fraction_high - settings.fraction_low) * wave)


@dataclass(frozen=True)
class Arm:
    """One method of the comparison.

    Args:
        method: its name in the results.
        schedule: draws the hint lengths.
        likelihood_coefficient: weight of log pi(a*|s*) summed over the hinted states of a group.
    """

    method: str
    schedule: HintSchedule
    likelihood_coefficient: float


ARMS = (
    Arm("rft", unhinted, 0.0),
    Arm("r3", uniform, 0.0),
    Arm("staged", staircase, 0.0),
    Arm("cosine", binomial_cosine, 0.0),
    Arm("uft", binomial_cosine, 0.1),
)
"""What UFT's Figures 4 and 5 compare, as the paper describes it: only UFT itself has a likelihood term (its released
code leaves the term on in the staged arm too). ``cosine`` is UFT without that term."""


def standardised(rewards: Floats) -> Floats:
    """GRPO's advantages: each group's rewards less their mean, over their unbiased deviation + 1e-6.

    Args:
        rewards: Float["groups rollouts"].

    Returns:
        Float["groups rollouts"]; all 0 in a group whose rewards are equal.
    """
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    deviation: Floats = rewards.std(axis=1, ddof=1, keepdims=True)
    advantages: Floats = centred / (deviation + 1e-6)
    return advantages


def roll_out(
    tree: SearchTree, policy: TabularPolicy, hints: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    """One answer behind each hint, level by level.

    Args:
        tree: the problem.
        policy: who acts after the hint.
        hints: hint length of each answer, Int["n"] in 0..H.
        rng: draws n numbers per level, used or not, so that an answer does not depend on the others' hints.

    Returns:
        States Int["n H"], actions Int["n H"] (annotated before the hint's end, sampled after), rewards Float["n"].
    """
    states = np.empty((len(hints), tree.height + 1), dtype=np.int64)
    actions = np.empty((len(hints), tree.height), dtype=np.int64)
    states[:, 0] = tree.solution_states[0]
    for depth, annotated in enumerate(tree.solution):
        sampled = policy.sample(states[:, depth], rng)
        actions[:, depth] = np.where(depth < hints, annotated, sampled)
        states[:, depth + 1] = states[:, depth] * tree.branching + actions[:, depth]
    return states[:, :-1], actions, tree.rewards(states[:, -1])


def log_likelihood_gradient(log_probabilities: Floats, actions: Ints) -> Floats:
    """Gradient of log pi(a|s) in theta(s, .): 1[. = a] - pi(.|s); Float["n B"], Int["n"] -> Float["n B"]."""
    gradient = -np.exp(log_probabilities)
    gradient[np.arange(len(actions)), actions] += 1.0
    return gradient


def kl_gradient(log_probabilities: Floats) -> Floats:
    """Gradient of KL(pi || uniform) in theta(s, .): pi (log(pi B) - KL); Float["n B"] -> Float["n B"]."""
    probabilities = np.exp(log_probabilities)
    log_ratio = log_probabilities + np.log(log_probabilities.shape[-1])
    divergence = (probabilities * log_ratio).sum(axis=-1, keepdims=True)
    gradient: Floats = probabilities * (log_ratio - divergence)
    return gradient


def ascend(
    tree: SearchTree, policy: TabularPolicy, arm: Arm, step: int, settings: AnnealingSettings, rng: np.random.Generator
) -> None:
    """One update of ``policy``, in place: gradient ascent on the mean objective of the sampled answers (UFT, eq. 3.3).

    An answer's objective is the sum over its sampled steps of A log pi - kl_coefficient * KL, plus the sum over its
    hinted steps of likelihood_coefficient * log pi; advantages are constants. Answers are on-policy, so no ratio is
    ever clipped.
    """
    hints = arm.schedule(step, tree.height, settings, rng).repeat(settings.rollouts)
    states, actions, rewards = roll_out(tree, policy, hints, rng)
    advantages = standardised(rewards.reshape(settings.groups, settings.rollouts)).ravel()
    hinted = (np.arange(tree.height) < hints[:, None]).ravel()
    credit = np.where(hinted, arm.likelihood_coefficient, advantages.repeat(tree.height))
    penalty = np.where(hinted, 0.0, settings.kl_coefficient)
    log_probabilities = policy.log_probabilities(states.ravel())
    gradient = credit[:, None] * log_likelihood_gradient(log_probabilities, actions.ravel())
    gradient -= penalty[:, None] * kl_gradient(log_probabilities)
    policy.add(states.ravel(), settings.step_size / len(hints) * gradient)


def anneal(tree: SearchTree, arm: Arm, settings: AnnealingSettings, rng: np.random.Generator) -> float:
    """Run one arm from the uniform policy; returns the exact un-hinted pass@1 at the end, in [0, 1]."""
    policy = TabularPolicy(tree.branching)
    for step in range(settings.steps):
        ascend(tree, policy, arm, step, settings, rng)
    return pass_at_1(tree, policy)
