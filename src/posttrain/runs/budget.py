"""As many optimiser updates for supervised arms as reinforced ones make, which may make several per collection."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from posttrain.errors import UserError
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import resolved

BUDGET = frozenset({"steps", "prompts_per_step", "rollouts_per_prompt", "groups_per_update"})
"""Settings of a reinforced stage that decide how much it samples and how often it updates."""


def updates_per_step(method: str, arguments: Mapping[str, Any]) -> int | None:
    """Updates in one collection of a method's reinforced stage; ``None`` if it has none."""
    settings = resolved(method, arguments).get("reinforcement")
    if settings is None:
        return None
    prompts, groups = int(settings["prompts_per_step"]), settings["groups_per_update"]
    return 1 if groups is None or groups < 1 else -(-prompts // int(groups))


def shared_updates(arms: Mapping[str, str], arguments: Mapping[str, Mapping[str, Any]]) -> int:
    """Updates per collection that ``sft`` has to match; 1 if nothing is sampled.

    Args:
        arms: name of an arm -> its method.
        arguments: name of an arm -> the method's arguments.

    Raises:
        UserError: the reinforced arms differ in it, so that there is no one number for ``sft``.
    """
    found = {arm: updates_per_step(method, arguments.get(arm, {})) for arm, method in arms.items()}
    counts = {arm: count for arm, count in found.items() if count is not None}
    if "sft" in arms.values() and len(set(counts.values())) > 1:
        said = ", ".join(f"{arm} {count}" for arm, count in counts.items())
        raise UserError(
            f"sft cannot make as many updates as every other arm, whose updates per step differ ({said}); "
            "set the same groups_per_update and prompts_per_step for them"
        )
    return max(counts.values(), default=1)


def refuse_tuned_budget(arms: Collection[str], tuned: Iterable[str]) -> None:
    """Refuse to tune what decides how many answers an arm samples or how many updates it makes.

    Raises:
        UserError: naming the setting; several arms, each with its best value, would not have equal budgets.
    """
    for setting in tuned:
        if len(arms) > 1 and setting.removeprefix("reinforcement.") in BUDGET:
            raise UserError(
                f"--tune {setting} would give every arm another budget; set it for all of them with --set {setting}=…"
            )


def with_equal_updates(run: RunSpec, shared: int) -> RunSpec:
    """The run with its supervised updates as many as the reinforced ones; unchanged at one update per step."""
    settings = resolved(run.method, run.arguments)
    steps = int(settings["steps"]) if run.steps is None else run.steps
    if run.method == "sft" and shared > 1:
        return dataclasses.replace(run, steps=steps * shared)
    own = updates_per_step(run.method, run.arguments) or 1
    if own > 1 and settings.get("supervised_steps", 0) is None:
        return dataclasses.replace(run, arguments={**run.arguments, "supervised_steps": steps * own})
    return run
