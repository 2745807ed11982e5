"""Prefix sampling: one answer per prompt begins with a demonstration, and its prefix is reinforced like the rest.

Paper: Blending Supervised and Reinforcement Fine-Tuning with Prefix Sampling (Huang et al., 2025).
arXiv: 2507.01679
Axes: source, credit, selection, schedule

Of the N answers to a prompt, N - 1 are sampled from scratch and one continues a prefix of the demonstration (here: a
hint that is cut at any token). All N form one group, and given and sampled tokens of the hybrid answer share its
advantage and one clipped loss, so that a prefix is imitated as far as what follows from it is better than average:

    A_i = r_i - mean r,    loss = 1 / (B L_max) sum over given and sampled tokens of -min(rho A, clip(rho) A)

With D tokens in the demonstration the prefix has ``int(l D)``, where ``l`` is uniform between ``low`` and 0.95 and
``low`` falls by a cosine from 0.95 to 0.05 over the run. Of the given tokens only the fifth at which the policy is most
undecided has a gradient, so that the demonstration does not swamp what is sampled. ``rho`` is the ratio to the policy
before the step, given tokens included.

Defaults: N = 8 with one prefix, window, mask ratio 0.8 and Dr. GRPO's credit and normaliser as secondary sources
report them, since the paper's run settings are not among its released code; clip 0.2, dual clip 3, entropy 0.001, no
KL, learning rate 1e-6, weight decay 0.01, gradient norm 1, temperature 1 from the released configuration; 128 prompts a
step and answers of at most 8192 tokens as in LUFFY (2504.14945), whose data it uses. Our reading: 2 updates per step,
as in LUFFY; and which of the released advantage estimators made the main results. ``hint_credit`` has the two that
credit a prefix apart (``grpo_prefix``, ``dr_grpo_prefix``).

Reductions: ``window=NoHints()`` is ``rft`` over N answers with the same credit, bit for bit but for the random numbers
of the last; a window at 1 gives whole demonstrations, the group of ``luffy``; ``masked=1`` leaves no gradient on any
prefix, which then is a prompt as in ``r3``; on the first update the loss's gradient is that of ``-A log p``.

Deviations: a prefix is a slice of the demonstration's tokens, where the released code decodes and tokenises it again;
entropies are those before the step's first update and are ranked over its whole collection, where the code ranks each
micro-batch; the entropy bonus is on sampled tokens (the code's ``response_only``) and has the policy's normaliser; no
least prefix length; the longest answer counts sampled tokens only.
"""

from __future__ import annotations

import dataclasses

from posttrain.batching import PerConstant
from posttrain.credit.group import Centred
from posttrain.credit.hint import HintAware
from posttrain.errors import UserError
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.recipe import Recipe
from posttrain.rollouts.hinted_by_token import HintedByToken
from posttrain.rollouts.hints import NoHints, UniformHints
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.rollouts.windows import BetaWindow
from posttrain.selection.top_entropy import TopEntropy
from posttrain.stage import Problems
from posttrain.stages import reinforced
from posttrain.stages.reinforced import Reinforcement
from posttrain.types import Origin


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    window: BetaWindow | UniformHints | NoHints = BetaWindow(),
    hints_per_prompt: int = 1,
    masked: float = 0.8,
    hint_credit: HintAware | None = None,
    reinforcement: Reinforcement = Reinforcement(
        prompts_per_step=128,
        rollouts_per_prompt=8,
        max_new_tokens=8192,
        credit=Centred(),
        objective=ClippedPolicy(clip=Clip(dual=3.0)),
        share=PerConstant(8192.0),
        kl_coefficient=0.0,
    ),
) -> Recipe:
    """One stage of ``steps`` collections; of every group some answers continue a demonstration.

    Args:
        problems: every example needs a demonstration.
        steps: collections (500).
        window: the law of a prefix's length, in tokens of its demonstration.
        hints_per_prompt: how many of ``rollouts_per_prompt`` continue a prefix, each its own (1).
        masked: fraction of the given tokens without a gradient, those of least entropy (0.8); 0 trains all.
        hint_credit: credits a prefix apart from its continuation; ``None``: one advantage per answer, by
            ``reinforcement.credit``.
        reinforcement: everything about the group; ``rollouts_per_prompt`` counts the answers from scratch too, and the
            objective reads given and sampled tokens whatever its ``origins`` say. Another ``max_new_tokens`` asks for
            the same number in ``share``.
    """
    problems.need_demonstrations(least_chunks=0)
    scratch = reinforcement.rollouts_per_prompt - hints_per_prompt
    if hints_per_prompt < 1 or scratch < 1:
        raise UserError(
            f"hints_per_prompt must leave at least one of {reinforcement.rollouts_per_prompt} answers from scratch "
            f"and be at least 1, got {hints_per_prompt}"
        )
    source = Mixed((OnPolicy(scratch), *[HintedByToken(1, window)] * hints_per_prompt))
    stage = reinforced.stage(problems, steps, reinforcement, source)
    policy, *others = stage.terms
    objective = dataclasses.replace(reinforcement.objective, origins=("given", "sampled"))
    policy = dataclasses.replace(policy, objective=objective, over=frozenset({Origin.GIVEN, Origin.SAMPLED}))
    (stream,) = stage.streams
    stage = dataclasses.replace(
        stage,
        streams=(dataclasses.replace(stream, credit=hint_credit or stream.credit),),
        terms=(policy, *others),
        selection=TopEntropy(policy.name, masked) if masked else None,
    )
    return Recipe((stage,))
