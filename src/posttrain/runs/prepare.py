"""Everything that a run needs before its first step: model, problems that fit, the method's recipe."""

from __future__ import annotations

import dataclasses
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posttrain.blocks import up_to
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer
from posttrain.frozen import FromFolder
from posttrain.loading import check_same_tokens, load_policy
from posttrain.model_folder import check_model, located
from posttrain.policy import Policy
from posttrain.recipe import Recipe
from posttrain.rewards.verified import Verified
from posttrain.runs.answering import answer_in_batches
from posttrain.runs.display import Display
from posttrain.runs.journal import Journal
from posttrain.runs.problems import RunProblems, keep_fitting
from posttrain.runs.spec import RunSpec
from posttrain.runtime import LocalRuntime, local_runtime
from posttrain.sampling import Sampling
from posttrain.settings.building import build, build_changes, resolved
from posttrain.stage import Problems, Stage
from posttrain.weights.snapshots import Load

EVALUATION_SEED = 20_250_516
"""Sampled evaluations of different runs draw the same random numbers."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the parts of a run share.

    Args:
        spec: as it was given.
        path: the run's folder.
        policy: what is trained.
        runtime: device and precision.
        problems: those that fit into the context.
        dropped: examples left out because they do not, training and evaluation ones.
        recipe: of the method.
        engine: writes answers in training and in evaluation.
        journal: writes the run's rows.
        display: told of progress.
        max_new_tokens: longest answer in evaluation.
        began: when the run's clock was at 0; it goes on counting where a resumed run had stopped.
    """

    spec: RunSpec
    path: Path
    policy: Policy
    runtime: LocalRuntime
    problems: RunProblems
    dropped: int
    recipe: Recipe
    engine: HuggingFaceEngine
    journal: Journal
    display: Display
    max_new_tokens: int
    began: float

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.perf_counter() - self.began

    def answers(
        self, samples: int, temperature: float, version: int, on_progress: Callable[[int], None]
    ) -> list[list[Answer]]:
        """Answer the evaluation problems with the weights as they stand now, by as many layers as the spec says."""
        depth = self.spec.evaluation_depth
        self.engine.load(self.policy if depth is None else up_to(self.policy, depth), version)
        sampling, text = Sampling(temperature, self.max_new_tokens), self.policy.text
        examples, verify = self.problems.evaluation, self.problems.verify
        return answer_in_batches(examples, verify, self.engine, text, sampling, samples, EVALUATION_SEED, on_progress)


def prepare(spec: RunSpec, problems: RunProblems, display: Display, weights: Path | None = None) -> Prepared:
    """Load and build; nothing is written.

    Args:
        spec: the run.
        problems: as read.
        display: told what is left out.
        weights: a folder to load instead of ``spec.model``.

    Raises:
        UserError: no model, a teacher of other tokens, problems that the method cannot use or that do not fit.
    """
    began = time.perf_counter()
    others = _other_models(build_recipe(spec, problems))  # what the method refuses, it refuses before a model is loaded
    if weights is None:
        check_model(spec.model)
    runtime = local_runtime(spec.precision, layers=spec.layers)
    policy = load_policy(weights or located(spec.model), runtime)
    for folder in others:
        check_same_tokens(folder, policy)
    training, dropped = keep_fitting(problems.training, policy.text.length, policy.context, spec.overlong)
    evaluation, missing = keep_fitting(problems.evaluation, policy.text.length, policy.context, spec.overlong)
    if dropped or missing:
        display.say(f"left out {dropped} training and {missing} evaluation examples longer than the context")
    if spec.layers == "compiled":
        display.say("layers are compiled when a kind of batch first comes, which takes some tens of seconds each time")
    fitting = dataclasses.replace(problems, training=training, evaluation=evaluation)
    recipe, path = build_recipe(spec, fitting), Path(spec.out)
    if spec.evaluation_depth is not None:
        up_to(policy, spec.evaluation_depth)  # refuses a depth that the model has not
    return Prepared(
        spec=spec,
        path=path,
        policy=policy,
        runtime=runtime,
        problems=fitting,
        dropped=dropped + missing,
        recipe=recipe,
        engine=HuggingFaceEngine(),
        journal=Journal(path, policy.text, spec.rollouts_kept_per_step),
        display=display,
        max_new_tokens=min(policy.context, spec.evaluation_tokens),
        began=began,
    )


def _other_models(recipe: Recipe) -> list[str]:
    """The folders of models that later parts load, so that a wrong one is refused now and not when they begin."""
    stages = [part for part in recipe.stages if isinstance(part, Stage)]
    frozen = [stage.frozen[name] for stage in stages for name in sorted(stage.frozen_needed)]
    folders = [part.folder for part in (*frozen, *recipe.stages) if isinstance(part, FromFolder | Load)]
    for folder in folders:
        check_model(folder)
    return folders


def build_recipe(spec: RunSpec, problems: RunProblems) -> Recipe:
    """The recipe that a spec describes.

    Raises:
        UserError: a setting that the method refuses, or an example that it cannot learn from.
    """
    module: Any = importlib.import_module(f"posttrain.methods.{spec.method}")
    arguments: dict[str, Any] = build(spec.method, spec.arguments)
    if spec.steps is not None:
        arguments["steps"] = spec.steps
    material = Problems(problems.training, problems.verify, Verified(problems.verify))
    recipe: Recipe = module.recipe(material, **arguments)
    return build_changes(spec.method, spec.arguments).applied_to(recipe)


def resolved_spec(prepared: Prepared) -> RunSpec:
    """The spec with every default filled in, chosen precision included."""
    spec = with_defaults(prepared.spec)
    return dataclasses.replace(spec, precision="float32" if prepared.runtime.autocast is None else "bfloat16")


def with_defaults(spec: RunSpec) -> RunSpec:
    """The spec with the method's defaults filled in."""
    arguments = resolved(spec.method, spec.arguments)
    default_steps = arguments.pop("steps", None)
    return dataclasses.replace(spec, steps=default_steps if spec.steps is None else spec.steps, arguments=arguments)
