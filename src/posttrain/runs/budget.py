"""What makes the arms of a comparison comparable: as many sampled answers, and as many updates for those without any.

Both are read from an arm's settings. The updates of supervised arms are raised to those of the arms that sample; that
the latter sample equally many answers is up to their settings, and where they do not it is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from posttrain.errors import UserError
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import resolved

SAMPLED = ("distillation", "actor_critic", "reinforcement")
"""The groups of settings of stages that sample; of two in one method, ``steps`` counts the collections of the first."""

BUDGET = frozenset(
    {
        *("steps", "prompts_per_step", "rollouts_per_prompt", "groups_per_update", "passes_over_rollouts"),
        *("reinforced_steps", "rounds", "demonstrations_per_prompt"),
    }
)
"""Settings of any stage that decide how many answers are sampled, how many examples are read, or how many updates are
made."""


def updates_per_step(method: str, arguments: Mapping[str, Any]) -> int | None:
    """Updates in one collection of a method's sampled stage; ``None`` if it has none."""
    settings = resolved(method, arguments)
    group = next((settings[name] for name in SAMPLED if name in settings), None)
    if group is None:
        return None
    prompts, groups = int(group["prompts_per_step"]), group["groups_per_update"]
    parts = 1 if groups is None or groups < 1 else -(-prompts // int(groups))
    return parts * int(group.get("passes_over_rollouts", 1))


def completions(run: RunSpec) -> int:
    """How many answers the training of a run samples by its settings, what interludes sample left out; 0 if none.

    Answers that continue a hint count as the others, and so do those whose hint happens to be a whole solution, which
    leaves nothing to sample.
    """
    settings = resolved(run.method, run.arguments)
    groups = [settings[name] for name in SAMPLED if name in settings]
    lengths = [_steps(run) * int(settings.get("rounds", 1)), int(settings.get("reinforced_steps", 0))]
    given = int(settings.get("demonstrations_per_prompt", 0))
    sampled = [int(g["prompts_per_step"]) * (int(g["rollouts_per_prompt"]) - given) for g in groups]
    return sum(steps * each for steps, each in zip(lengths, sampled))


def shared_updates(arms: Mapping[str, str], arguments: Mapping[str, Mapping[str, Any]]) -> int:
    """Updates per collection that arms which sample nothing have to match; 1 if no arm samples.

    Args:
        arms: name of an arm -> its method.
        arguments: name of an arm -> the method's arguments.

    Raises:
        UserError: the sampled arms differ in it, so that there is no one number for the others.
    """
    found = {arm: updates_per_step(method, arguments.get(arm, {})) for arm, method in arms.items()}
    counts = {arm: count for arm, count in found.items() if count is not None}
    supervised = [arm for arm in arms if arm not in counts]
    if supervised and len(set(counts.values())) > 1:
        said = ", ".join(f"{arm} {count}" for arm, count in counts.items())
        raise UserError(
            f"{' and '.join(supervised)} cannot make as many updates as every other arm, whose updates per step differ "
            f"({said}); set the same groups_per_update, prompts_per_step and passes_over_rollouts for them"
        )
    return max(counts.values(), default=1)


def refuse_tuned_budget(arms: Collection[str], tuned: Iterable[str]) -> None:
    """Refuse to tune what decides how many answers an arm samples or how many updates it makes.

    Raises:
        UserError: naming the setting; several arms, each with its best value, would not have equal budgets.
    """
    for setting in tuned:
        if len(arms) > 1 and setting.rpartition(".")[2] in BUDGET:
            raise UserError(
                f"--tune {setting} would give every arm another budget; set it for all of them with --set {setting}=…"
            )


def with_equal_updates(run: RunSpec, shared: int) -> RunSpec:
    """The run with its supervised updates as many as the sampled ones; unchanged at one update per step.

    A number of supervised updates that somebody has set stays as it is.
    """
    factor = _factor(run, shared)
    if factor == 1:
        return run
    if updates_per_step(run.method, run.arguments) is None:
        return dataclasses.replace(run, steps=_steps(run) * factor)
    return dataclasses.replace(run, arguments={**run.arguments, "supervised_steps": _steps(run) * factor})


def said_of_budgets(arms: Mapping[str, RunSpec], shared: int) -> list[str]:
    """What a person should know of the arms' budgets before they are used up, in one sentence each.

    Args:
        arms: name -> its run as it was set.
        shared: see :func:`shared_updates`.
    """
    factors = {arm: _factor(run, shared) for arm, run in arms.items()}
    raised = ", ".join(f"{arm} {factor}" for arm, factor in factors.items() if factor > 1)
    sampled = {arm: count for arm, run in arms.items() if (count := completions(run))}
    said = [f"supervised updates for every step, as many as are made on sampled answers: {raised}"] if raised else []
    if len(set(sampled.values())) > 1:
        numbers = ", ".join(f"{arm} {count:,}" for arm, count in sampled.items())
        said.append(
            f"the arms do not sample equally many answers ({numbers}); for equal ones set prompts_per_step and "
            "rollouts_per_prompt alike"
        )
    return said


def _factor(run: RunSpec, shared: int) -> int:
    """By what the updates of a run's supervised stages are multiplied."""
    own = updates_per_step(run.method, run.arguments)
    if own is None:
        return shared
    return own if resolved(run.method, run.arguments).get("supervised_steps", 0) is None else 1


def _steps(run: RunSpec) -> int:
    return int(resolved(run.method, run.arguments)["steps"]) if run.steps is None else run.steps
