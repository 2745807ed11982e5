"""On-policy distillation: a teacher marks every token of the student's own answers.

Paper: VLA-OPD: Bridging Offline SFT and Online RL ... via On-Policy Distillation (Zhong et al., 2026).
arXiv: 2603.26666
Axes: teacher, source, credit, objective, stages

The student writes, so that it is taught in the states that it really gets into; a frozen teacher that writes nothing
says how likely it finds each token. The paper's form is a policy gradient with

    A_t = log p_teacher(y_t | x, y_<t) - log p_old(y_t | x, y_<t)

as it is: no verdict, no baseline, no normalisation, no look ahead. On average that descends KL(student || teacher) in
the states visited, which keeps to what the teacher finds likely without copying its doubt. ``divergence`` puts the
whole distribution in place of the sampled token (``reverse_kl``), or another divergence: ``forward_kl`` covers all that
the teacher does, ``hard_target`` imitates its first choice (both are the paper's ablations), ``jensen_shannon`` lies
between the first two (GKD, 2306.13649). A token that the student never samples is corrected by these only.

The paper initialises the student by supervision on very few demonstrations (``supervised_steps``, ``demonstrations``)
and may go on with GRPO on verdicts (``reinforced_steps``). It acts in robot simulators; here the same loss is applied
to text. From the paper: 64 prompts with 8 answers each, a frozen teacher, a mean over each answer's tokens. Its
optimiser is not published: learning rate 5e-6 is that of a third-party implementation (RLinf), temperature 1 (there
1.6, for actions), one pass and the optimiser's other settings are our reading, as is the floor of -20 nats under the
teacher's log-probabilities. Student and teacher are compared at the sampling temperature.

``teacher.folder`` names a model with the student's tokenizer; a teacher is trained by another run, and what that cost
belongs to the method's cost. ``remembered`` takes the student as it was before the supervised stage, which brings back
what that stage made it forget.

Reductions: a student that is its teacher has no advantage and no gradient; ``reverse_kl`` has the expected gradient of
the sampled form; a teacher that is sure of one token makes ``hard_target`` and ``forward_kl`` one.
"""

from __future__ import annotations

from posttrain.errors import UserError
from posttrain.frozen import AdapterOff, FromFolder, FrozenPolicy, Remembered, Snapshot
from posttrain.recipe import Interlude, Later, Recipe
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems, Stage
from posttrain.stages import distilled, reinforced, supervised
from posttrain.stages.distilled import Distillation
from posttrain.stages.reinforced import Reinforcement
from posttrain.stages.supervised import Supervision
from posttrain.weights.snapshots import Keep


def recipe(
    problems: Problems,
    *,
    steps: int = 500,
    teacher: FrozenPolicy = FromFolder("teacher"),
    supervised_steps: int = 0,
    demonstrations: int | None = None,
    supervision: Supervision = Supervision(),
    distillation: Distillation = Distillation(),
    reinforced_steps: int = 0,
    reinforcement: Reinforcement = Reinforcement(),
) -> Recipe:
    """A distilled stage of ``steps`` collections, perhaps between a supervised and a reinforced one.

    Args:
        problems: prompts; verdicts are read in a reinforced stage only.
        steps: collections of the distilled stage (500).
        teacher: a model's folder, or what the student was before the supervised stage.
        supervised_steps: updates on demonstrations before; 0 leaves them out.
        demonstrations: how many problems are imitated, the first ones; ``None``: all that have a demonstration.
        supervision: of the supervised stage.
        distillation: of the distilled stage.
        reinforced_steps: collections of GRPO afterwards; 0 leaves them out.
        reinforcement: of the reinforced stage.
    """
    if isinstance(teacher, Snapshot | AdapterOff):
        raise UserError(
            "the student as its stage begins has nothing to teach it; choose a model's folder as the teacher"
        )
    if isinstance(teacher, Remembered) and not supervised_steps:
        raise UserError("a remembered teacher is the student before its supervised stage; set supervised_steps")
    parts: list[Stage | Later | Interlude] = [Keep(teacher.name)] if isinstance(teacher, Remembered) else []
    if supervised_steps:
        parts.append(supervised.stage(supervised.demonstrated(problems, demonstrations), supervised_steps, supervision))
    parts.append(distilled.stage(problems, steps, distillation, teacher))
    if reinforced_steps:
        source = OnPolicy(reinforcement.rollouts_per_prompt)
        parts.append(reinforced.stage(problems, reinforced_steps, reinforcement, source))
    return Recipe(tuple(parts))
