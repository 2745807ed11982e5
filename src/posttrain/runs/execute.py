"""One run from its spec to its folder: load, evaluate the base, train, evaluate, save, summarise."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.evaluation.accuracy import Answer, answer_all, pass_at_k, summarise
from posttrain.loading import load_policy
from posttrain.loop import NonFinite, Session, Spent, StepRecord, TooManyUnscorable, start, train
from posttrain.policy import Policy
from posttrain.rewards.verified import Verified
from posttrain.runs import checkpoint, folder, recipe_file
from posttrain.runs.display import Display
from posttrain.runs.interrupts import finish_the_step
from posttrain.runs.journal import Journal
from posttrain.runs.problems import RunProblems, keep_fitting, read_problems
from posttrain.runs.spec import EMBEDDED, RunSpec
from posttrain.runtime import LocalRuntime, local_runtime
from posttrain.settings.building import build
from posttrain.stage import Problems, Recipe
from posttrain.types import Sampling

EVALUATION_SEED = 20_250_516
"""Sampled evaluations of different runs draw the same random numbers."""


class Interrupted(Exception):
    """Ctrl-C came; a checkpoint was saved."""


@dataclass
class _Run:
    """What the parts of a run share."""

    spec: RunSpec
    path: Path
    policy: Policy
    runtime: LocalRuntime
    problems: RunProblems
    recipe: Recipe
    engine: HuggingFaceEngine
    journal: Journal
    display: Display
    max_new_tokens: int

    def answers(self, samples: int, temperature: float, version: int) -> list[list[Answer]]:
        """Answer the evaluation problems with the weights as they stand now."""
        self.engine.load(self.policy, version)
        sampling = Sampling(temperature, self.max_new_tokens)
        examples, verify = self.problems.evaluation, self.problems.verify
        return answer_all(examples, verify, self.engine, self.policy.text, sampling, samples, EVALUATION_SEED)


def run(spec: RunSpec, display: Display, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Carry out a run in a new folder.

    Args:
        spec: what to do.
        display: told of progress.
        base: the base's summary if it is known already, so that arms need not measure the same model again.

    Returns:
        The content of ``summary.json``.
    """
    path = Path(spec.out)
    problems = read_problems(spec)
    prepared = _prepare(spec, path, problems, display)
    folder.claim(path)
    recipe_file.write(path, _with_resolved_arguments(spec, prepared))
    known = dict(base) if base is not None else _measure_base(prepared)
    folder.write_json(path / BASE, known)
    prepared.journal.evaluation({"step": 0, **{k: known[k] for k in EVALUATION_KEYS}})
    return _train(prepared, known, first_stage=0, state=None)


def resume(path: Path, display: Display) -> dict[str, Any]:
    """Go on with the run in ``path`` from its checkpoint, exactly as if it had never stopped (bit for bit on a CPU)."""
    spec = recipe_file.read(path)
    spec = dataclasses.replace(spec, out=str(path))
    state = checkpoint.read(path / folder.CHECKPOINT)
    problems = read_problems(spec)
    prepared = _prepare(spec, path, problems, display, weights=path / folder.CHECKPOINT)
    stands = checkpoint.standing(state)
    finished = sum(s.steps for s in prepared.recipe.stages[: stands.stage]) + stands.step
    prepared.journal.rewind(finished)
    display.say(f"resuming {path} after step {finished} of {prepared.recipe.total_steps}")
    base = folder.read_json(path / BASE)
    return _train(prepared, base, first_stage=stands.stage, state=state)


BASE = "base.json"
EVALUATION_KEYS = ("accuracy", "ci95", "valid_rate", "n", "unscorable", "mean_tokens")


def _prepare(
    spec: RunSpec, path: Path, problems: RunProblems, display: Display, weights: Path | None = None
) -> _Run:
    runtime = local_runtime(spec.precision)
    policy = load_policy(weights or model_folder(spec.model), runtime)
    training, dropped = keep_fitting(problems.training, policy.text.length, policy.context, spec.overlong)
    evaluation, missing = keep_fitting(problems.evaluation, policy.text.length, policy.context, spec.overlong)
    if dropped or missing:
        display.say(f"left out {dropped} training and {missing} evaluation examples longer than the context")
    problems = dataclasses.replace(problems, training=training, evaluation=evaluation)
    recipe = build_recipe(spec, problems)
    longest = max(s.sampling.max_new_tokens for s in recipe.stages)
    engine, journal = HuggingFaceEngine(), Journal(path, policy.text, spec.rollouts_kept_per_step)
    limit = min(longest, policy.context)
    return _Run(spec, path, policy, runtime, problems, recipe, engine, journal, display, limit)


def build_recipe(spec: RunSpec, problems: RunProblems) -> Recipe:
    """The recipe that a spec describes."""
    import importlib

    module = importlib.import_module(f"posttrain.methods.{spec.method}")
    arguments: dict[str, Any] = build(spec.method, spec.arguments)
    if spec.steps is not None:
        arguments["steps"] = spec.steps
    material = Problems(problems.training, problems.verify, Verified(problems.verify))
    recipe: Recipe = module.recipe(material, **arguments)
    return recipe


def model_folder(model: str) -> Path:
    """Where the model's files are; ``embedded`` is the one inside the package."""
    if model != EMBEDDED:
        return Path(model)
    return Path(__file__).parent.parent / "embedded" / "model"


def _with_resolved_arguments(spec: RunSpec, prepared: _Run) -> RunSpec:
    from posttrain.settings.building import resolved

    precision = "float32" if prepared.runtime.autocast is None else "bfloat16"
    arguments = resolved(spec.method, spec.arguments)
    steps = spec.steps if spec.steps is not None else arguments.get("steps")
    arguments.pop("steps", None)
    return dataclasses.replace(spec, steps=steps, arguments=arguments, precision=precision)


def measure_base(spec: RunSpec, display: Display) -> dict[str, Any]:
    """The summary of the model that ``spec`` starts from, for several runs to share."""
    return _measure_base(_prepare(spec, Path(spec.out), read_problems(spec), display))


def _measure_base(prepared: _Run) -> dict[str, Any]:
    """Greedy accuracy of the untrained model and, if asked for, its sampled pass@k."""
    samples = prepared.spec.base_samples
    prepared.display.say("measuring the base model")
    greedy = [row[0] for row in prepared.answers(1, 0.0, 0)]
    summary: dict[str, Any] = dataclasses.asdict(summarise(greedy))
    if samples:
        sampled = prepared.answers(samples, 1.0, 0)
        powers = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= samples]
        summary["pass_at_k"] = {str(k): pass_at_k(sampled, k) for k in powers}
    return summary


def _train(prepared: _Run, base: Mapping[str, Any], first_stage: int, state: dict[str, Any] | None) -> dict[str, Any]:
    began = time.perf_counter()
    stages = prepared.recipe.stages
    spent = Spent()
    prepared.display.begin(prepared.spec.method, prepared.recipe.total_steps)
    for index in range(first_stage, len(stages)):
        session = start(stages[index], prepared.policy, prepared.spec.seed, prepared.engine, spent)
        if state is not None and index == first_stage:
            checkpoint.restore(session, state)
            spent = session.spent
        finished = sum(s.steps for s in stages[:index])
        _run_stage(prepared, session, index, finished)
    _save(prepared, session, len(stages) - 1)
    return _summary(prepared, spent, base, time.perf_counter() - began)


def _run_stage(prepared: _Run, session: Session, index: int, finished: int) -> None:
    """Run one stage, with evaluations and checkpoints on the way."""
    total = prepared.recipe.total_steps
    with finish_the_step() as asked_to_stop:

        def after_step(record: StepRecord) -> bool:
            step = finished + record.now.step + 1
            row = prepared.journal.step(session.stage.name, step, record, session.spent)
            prepared.display.advance(step, _note(row))
            _show_samples(prepared, record, step)
            if step % prepared.spec.evaluate_every == 0 or step == total:
                _evaluate(prepared, step)
                if step != total:
                    _save(prepared, session, index)
            return not asked_to_stop()

        try:
            train(session, prepared.runtime, after_step)
        except (NonFinite, TooManyUnscorable) as error:
            _save(prepared, session, index)
            raise UserError(f"{error}; the weights of before that step are in {prepared.path / folder.CHECKPOINT}") from error
        if asked_to_stop() and finished + session.step < total:
            _save(prepared, session, index)
            raise Interrupted(f"stopped after step {finished + session.step}; go on with --resume {prepared.path}")


def _evaluate(prepared: _Run, step: int) -> None:
    answers = [row[0] for row in prepared.answers(1, 0.0, step)]
    result = dataclasses.asdict(summarise(answers))
    prepared.journal.evaluation({"step": step, **result})
    if step == prepared.recipe.total_steps:
        rows = [{"step": step, **dataclasses.asdict(a), "correct": a.correct} for a in answers]
        path = prepared.path / folder.HELDOUT
        path.unlink(missing_ok=True)
        folder.append_rows(path, rows)


def _save(prepared: _Run, session: Session, index: int) -> None:
    checkpoint.save(prepared.path / folder.CHECKPOINT, session, index)


def _show_samples(prepared: _Run, record: StepRecord, step: int) -> None:
    every = max(1, prepared.recipe.total_steps // 4)
    if step % every in (1, every) and step > 0:
        rows = folder.read_rows(prepared.path / folder.ROLLOUTS)
        prepared.display.samples(step, [row for row in rows if row["step"] == step][:3])


def _note(row: Mapping[str, Any]) -> str:
    parts = []
    if row["reward"] == row["reward"]:
        parts.append(f"reward {row['reward']:.3f}")
    if row["hint_fraction"] == row["hint_fraction"] and 0 < row["hint_fraction"] < 1:
        parts.append(f"hint {row['hint_fraction']:.0%}")
    losses = [f"{name.removeprefix('loss/')} {value:.3f}" for name, value in row.items() if name.startswith("loss/")]
    return " · ".join(parts or losses[:1])


def _summary(prepared: _Run, spent: Spent, base: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    last = folder.read_rows(prepared.path / folder.EVALUATIONS)[-1]
    summary = {
        "method": prepared.spec.method,
        "seed": prepared.spec.seed,
        "steps": prepared.recipe.total_steps,
        **{key: last[key] for key in EVALUATION_KEYS},
        "evaluation_split": prepared.spec.evaluation_split,
        "completions_sampled": spent.completions_sampled,
        "tokens_sampled": spent.tokens_sampled,
        "tokens_trained": spent.tokens_trained,
        "updates": spent.updates,
        "flops": spent.flops,
        "training_seconds": spent.seconds,
        "seconds": seconds,
        "parameters": prepared.policy.parameters_count,
        "base": dict(base),
        "versions": versions(),
    }
    folder.write_json(prepared.path / folder.SUMMARY, summary)
    from posttrain.report.run_page import write_run_page

    write_run_page(prepared.path)
    return summary


def versions() -> dict[str, str]:
    """The software that made a run."""
    import platform

    import transformers

    import posttrain

    return {
        "posttrain": posttrain.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


