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

from dataclasses import dataclass

from posttrain.batching import PerConstant, PerGroup, PerSequence, PerToken
from posttrain.credit.teacher import TeacherRatio
from posttrain.errors import UserError
from posttrain.frozen import AdapterOff, FromFolder, FrozenPolicy, Remembered, Snapshot
from posttrain.methods import rft, sft
from posttrain.methods.rft import Reinforcement
from posttrain.methods.sft import Supervision
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.distil import ForwardKl, HardTarget, JensenShannon, ReverseKl
from posttrain.protocols import Credit, Objective, Term
from posttrain.recipe import Interlude, Later, Recipe
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.types import Origin
from posttrain.weights.snapshots import Keep


@dataclass(frozen=True)
class Sampled:
    """The reverse divergence by policy gradient, from the sampled tokens alone: the form of the paper.

    Args:
        credit: the teacher's log-ratio (floor -20).
        objective: ratio level and clip (token, 0.2); they matter where a collection is trained on several times.
    """

    credit: TeacherRatio = TeacherRatio()
    objective: ClippedPolicy = ClippedPolicy()


@dataclass(frozen=True)
class Distillation:
    """How the student answers, and how it is moved towards the teacher.

    Args:
        prompts_per_step: prompts per collection (64).
        rollouts_per_prompt: answers per prompt (8; the paper's ablation has 2 and 4).
        groups_per_update: prompts per optimiser update; ``None``: all of the collection.
        passes_over_rollouts: how often a collection is gone through (1).
        learning_rate: constant (5e-6).
        temperature: of sampling, and of both distributions (1.0).
        max_new_tokens: longest continuation in tokens (1024).
        divergence: what is made small, and from what.
        share: normaliser (sequence mean).
        weight_decay: AdamW's (0.01).
        clip_norm: gradient norm cut (1.0).
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    prompts_per_step: int = 64
    rollouts_per_prompt: int = 8
    groups_per_update: int | None = None
    passes_over_rollouts: int = 1
    learning_rate: float = 5e-6
    temperature: float = 1.0
    max_new_tokens: int = 1024
    divergence: Sampled | ReverseKl | ForwardKl | HardTarget | JensenShannon = Sampled()
    share: PerToken | PerSequence | PerGroup | PerConstant = PerSequence()
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    tokens_per_microbatch: int = 16384

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.prompts_per_step < 1 or self.rollouts_per_prompt < 1:
            raise ValueError("prompts_per_step and rollouts_per_prompt must be at least 1")
        if self.learning_rate < 0:
            raise ValueError(f"learning_rate cannot be negative, got {self.learning_rate}")
        if self.temperature <= 0 or self.max_new_tokens < 1:
            raise ValueError("sampling needs a temperature above 0 and max_new_tokens of at least 1")


def stage(problems: Problems, steps: int, settings: Distillation, teacher: FrozenPolicy) -> Stage:
    """The distilled stage alone; ``teacher`` is any frozen policy with the student's tokenizer."""
    credit: Credit | None = None
    objective: Objective
    if isinstance(settings.divergence, Sampled):
        credit, objective = settings.divergence.credit, settings.divergence.objective
    else:
        objective = settings.divergence
    source = OnPolicy(settings.rollouts_per_prompt)
    return Stage(
        name="distilled",
        streams=(Stream("answers", problems.examples, source, settings.prompts_per_step, credit=credit),),
        terms=(Term("teacher", objective, frozenset({Origin.SAMPLED}), settings.share),),
        steps=steps,
        learning_rate=settings.learning_rate,
        optimiser=AdamW((0.9, 0.999), 1e-8, settings.weight_decay, settings.clip_norm),
        sampling=Sampling(settings.temperature, settings.max_new_tokens),
        groups_per_update=settings.groups_per_update,
        passes_over_rollouts=settings.passes_over_rollouts,
        frozen={"teacher": teacher},
        tokens_per_microbatch=settings.tokens_per_microbatch,
    )


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
        parts.append(sft.stage(sft.demonstrated(problems, demonstrations), supervised_steps, supervision))
    parts.append(stage(problems, steps, distillation, teacher))
    if reinforced_steps:
        source = OnPolicy(reinforcement.rollouts_per_prompt)
        parts.append(rft.stage(problems, reinforced_steps, reinforcement, source))
    return Recipe(tuple(parts))
