"""The demonstration: imitation, reinforcement and their union side by side on the embedded model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from posttrain.cores import available_cores
from posttrain.runs.compare import CompareSpec, compare
from posttrain.runs.display import Display
from posttrain.runs.spec import RunSpec
from posttrain.settings.overrides import apply
from posttrain.settings.presets import in_words, preset, settings_for

METHODS = ("sft", "rft", "uft")
PRESET = "tiny"
SAMPLES = 64
"""Sampled answers per problem for the base's pass@k."""
QUICK_STEPS, QUICK_PROBLEMS, QUICK_SAMPLES = 40, 200, 8


def demo(out: Path, quick: bool, steps: int | None, display: Display) -> list[dict[str, Any]]:
    """Compare SFT, RFT and UFT with one seed; the report is ``report.html`` in ``out``.

    Args:
        out: the folder; a finished demonstration in it is kept.
        quick: fewer steps and problems.
        steps: length of the training, if another than the preset's.
        display: told of progress.
    """
    run = _quick(_run(out)) if quick else _run(out)
    if steps is not None:
        run = dataclasses.replace(run, steps=steps)
    chosen = preset(PRESET)
    arguments = {name: apply(name, settings_for(chosen, name), []) for name in METHODS}
    workers = min(2, available_cores())
    for name in METHODS:
        display.say(in_words(chosen, name))
    arms = {name: name for name in METHODS}
    return compare(CompareSpec(arms, str(out), run, seeds=1, arguments=arguments, workers=workers), display)


def _run(out: Path) -> RunSpec:
    chosen = preset(PRESET)
    return RunSpec(method=METHODS[0], out=str(out), task=chosen.task, base_samples=SAMPLES, **chosen.run)


def _quick(run: RunSpec) -> RunSpec:
    return dataclasses.replace(run, steps=QUICK_STEPS, evaluation_examples=QUICK_PROBLEMS, base_samples=QUICK_SAMPLES)
