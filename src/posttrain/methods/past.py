"""Skills as a direction of weights: learned by reinforcement in one domain, added to a model of another.

Paper: Knowledge is Not Enough: Injecting RL Skills for Continual Adaptation (PaST, 2026).
arXiv: 2601.11258
Axes: stages, source, reward

Supervised learning of documents stores what they say but not how to use it; reinforcement learns that, along a
direction nearly orthogonal to what the documents added. In each round k over a disjoint part of the source,
``sft_k = SFT(base, documents_k)``, ``rl_k = RL(sft_k + v_(k-1), questions_k)`` and ``v_k = rl_k - sft_k`` (against the
supervised weights, not against where reinforcement began). At the end ``SFT(base, target documents) + scale * v_K``;
nothing of the target is ever asked. Every supervised stage begins from the base.

Defaults: ``scale`` 1 and 2 rounds (Section 4). Learning rates, group size and lengths were not to be found: they are
those of ``sft`` and ``rft``, which is our reading. Reward is the problems' verifier, where the paper has a judge.

Data: an example's fact ``domain`` says where it belongs, and ``source`` and ``target`` name the two. Documents are
imitated by their demonstrations; the source's examples are its questions as well, unless ``documents`` names another
domain for its documents; then the fact ``document``, common to a document and its questions, keeps rounds apart.
Problems without domains, such as those of a task, are dealt out alternately to source and target.

Reductions: ``scale=0`` is ``sft`` on the target; ``rounds=1`` is a plain task vector; with the target's documents those
of the source, it is the reinforced model itself (``rounds=1``, ``scale=1``).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from posttrain.curation.domains import dealt_out, of_domain, parts
from posttrain.errors import UserError
from posttrain.recipe import Interlude, Recipe
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems, Stage
from posttrain.stages import reinforced, supervised
from posttrain.stages.reinforced import Reinforcement
from posttrain.stages.supervised import Supervision
from posttrain.weights.snapshots import Keep, Rewind
from posttrain.weights.vectors import AddVector, Learned, RandomOfEqualNorm


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    supervised_steps: int | None = None,
    source: str | None = None,
    documents: str | None = None,
    target: str | None = None,
    rounds: int = 2,
    scale: float = 1.0,
    direction: Learned | RandomOfEqualNorm = Learned(),
    added: Literal["after", "before"] = "after",
    supervision: Supervision = Supervision(),
    reinforcement: Reinforcement = Reinforcement(),
) -> Recipe:
    """Two stages per round over the source, then one over the target.

    Args:
        problems: examples of two domains; what is imitated needs a demonstration.
        steps: collections of each reinforced stage (500).
        supervised_steps: updates of each supervised stage; ``None``: as many as ``steps``.
        source: the domain whose questions are reinforced; ``None``: every other problem.
        documents: the domain of the source's documents; ``None``: the source itself.
        target: the domain whose documents are learned at the end; ``None``: the problems that are not the source's.
        rounds: disjoint parts of the source (2).
        scale: of the skill that is added (1); the paper's lambda.
        direction: what is added: the skill, or noise of the same size as a control.
        added: whether the skill comes after the target's supervision, or before it, which the paper found worse.
        supervision: of every supervised stage.
        reinforcement: of every reinforced stage.
    """
    if rounds < 1:
        raise UserError(f"rounds must be at least 1, got {rounds}")
    read, asked, goal = _domains(problems, source, documents, target)
    imitated = steps if supervised_steps is None else supervised_steps
    made: list[Stage | Interlude] = [Keep("base")]
    for k, (texts, questions) in enumerate(parts(read, asked, rounds), 1):
        first = supervised.stage(texts, imitated, supervision)
        second = reinforced.stage(questions, steps, reinforcement, OnPolicy(reinforcement.rollouts_per_prompt))
        if k > 1:
            made.append(Rewind("base", before=f"round {k}"))
        made += [dataclasses.replace(first, name=f"supervised {k}"), Keep(f"supervised {k}")]
        if k > 1:
            made.append(AddVector(f"reinforced {k - 1}", f"supervised {k - 1}"))
        made += [dataclasses.replace(second, name=f"reinforced {k}"), Keep(f"reinforced {k}")]
    skill = AddVector(f"reinforced {rounds}", f"supervised {rounds}", scale, direction)
    last = dataclasses.replace(supervised.stage(goal, imitated, supervision), name="target")
    made += [Rewind("base", before="target"), *((last, skill) if added == "after" else (skill, last))]
    return Recipe(tuple(made))


def _domains(
    problems: Problems, source: str | None, documents: str | None, target: str | None
) -> tuple[Problems, Problems, Problems]:
    """The source's documents, its questions, and the target's documents."""
    if source is None and target is None and documents is None:
        half, other = dealt_out(problems)
        return half, half, other
    if source is None or target is None:
        raise UserError("name both domains, source=... and target=...")
    asked = of_domain(problems, source)
    return of_domain(problems, documents or source), asked, of_domain(problems, target)
