"""Unified fine-tuning: explore from a hint whose length is annealed to nothing.

Paper: UFT: Unifying Supervised and Reinforcement Fine-Tuning (Liu, Farina, Ozdaglar, 2025).
arXiv: 2505.16984
Axes: source, schedule, objective

Each prompt is followed by the first parts of its demonstration; the policy writes the rest. Sampled tokens are trained
by GRPO, hint tokens by likelihood (equation 3.3). The number of parts is Binomial(parts, p), with p annealed by a
cosine from 0.95 to 0.05 over the hinted phase and 0 afterwards (Algorithm 1), so one run moves from imitation to
exploration. Defaults: at most 5 parts, hinted for 300 of 500 steps, likelihood 0.001 (Section 5 and released code).

Where text and code differ, both are here. The code takes the token mean over the hints of the minibatch and has one
coefficient each for KL and likelihood (the default); the paper sums the log-likelihood over a hint's tokens in
expectation over answers (``likelihood_share=PerConstant(1)``), uses the exact KL (``reinforcement.kl=exact_kl``), one
coefficient beta for both, and no entropy bonus: :func:`paper_form` sets these four together.

Reductions: ``hints.start = hints.end = 0`` is ``rft``; ``likelihood=0`` with ``UniformHints`` is ``r3``.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerConstant, PerSequence, PerToken
from posttrain.objectives.kl import ExactKl
from posttrain.recipe import Recipe
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import BinomialCosine, NoHints, StagedHints, UniformHints
from posttrain.stage import Problems
from posttrain.stages import hinted
from posttrain.stages.reinforced import Reinforcement


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    hints: BinomialCosine | UniformHints | StagedHints | NoHints = BinomialCosine(),
    most_parts: int = 5,
    hint_includes_answer: bool = False,
    likelihood: float = 0.001,
    likelihood_share: PerToken | PerSequence | PerConstant = PerToken(),
    reinforcement: Reinforcement = Reinforcement(),
) -> Recipe:
    """One stage of ``steps`` collections, answers continued from annealed hints.

    Args:
        problems: every example needs a demonstration.
        steps: collections (500).
        hints: the law of the hint's length; its ``hinted`` phase is 0.6 of the run unless given in steps.
        most_parts: a demonstration is cut into at most this many parts (5).
        hint_includes_answer: whether the answer block belongs to what a hint may show (never in the paper).
        likelihood: coefficient of the hint's log-likelihood (0.001); 0 leaves the term out.
        likelihood_share: its normaliser.
        reinforcement: everything about the sampled part.
    """
    source = Hinted(reinforcement.rollouts_per_prompt, hints, most_parts, hint_includes_answer)
    return Recipe((hinted.stage(problems, steps, source, reinforcement, likelihood, likelihood_share),))


def paper_form(beta: float = 0.001, reinforcement: Reinforcement = Reinforcement()) -> dict[str, object]:
    """The arguments of :func:`recipe` that make it equation 3.3 to the letter, with its one coefficient ``beta``.

    KL and likelihood are sums over tokens in expectation over answers, the KL is exact, there is no entropy bonus.
    The policy term has the KL's normaliser, ``reinforcement.share``, and so becomes a sum over tokens
    (``PerConstant(1)``) as well.
    """
    settings = dataclasses.replace(reinforcement, kl=ExactKl(), kl_coefficient=beta, entropy=0.0, share=PerConstant(1))
    return {"likelihood": beta, "likelihood_share": PerConstant(1), "reinforcement": settings}
