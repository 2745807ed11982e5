"""What a claim is: a command, what proves it, and who is claimed to be better than whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from measures import Measure

RATES = "--tune reinforcement.learning_rate=1e-4,3e-4,1e-3,3e-3 --tune supervision.learning_rate=1e-4,3e-4,1e-3,3e-3"
SUPERVISED = "--tune supervision.learning_rate=1e-4,3e-4,1e-3,3e-3"
COMPARISON_FILES = ("comparison.json", "paired.json", "tuning.json", "base.json")
MEASURED_FILE = "measured.json"
Length = Literal["short", "long"]


@dataclass(frozen=True)
class Claim:
    """One measurement.

    Args:
        name: its folder under ``results/``.
        title: what it is about, for the page.
        command: without ``--out``, which the runner adds; ``$DATA`` is the folder of UFT's published parquet files,
            taken from the environment. A command that does not begin with ``posttrain`` is a script of this folder.
        kept: files of the output folder that are copied to ``results/``.
        page: how the page shows it: ``base``, ``comparison``, ``measured`` (by outcomes alone), ``preparation``
            (not at all), ``pretraining``, ``real_data``, ``run`` or ``theory``.
        tune: the candidates of a comparison's settings. ``run.py --tune`` tries them on the validation split; without
            ``--tune`` the arms get the values that are kept as chosen in ``results/NAME/tuning.json``.
        published_files: whether it is about UFT's published files, and left out where they are not at hand.
        effects: arms and their baselines: the first is claimed to be more accurate than the second.
        measures: by what else the models of a comparison's arms are measured, each with effects of its own.
        method: whose effects these are, where the command names no arms.
        length: ``long`` where it takes more than ten minutes on two cores with everything tuned before, or needs the
            models of such a claim; ``make claims`` leaves those to ``make claims-long``.
        needs: claims whose files or models it begins with; they come before it in the table.
        readings: what we take to be the reason for a result, where it is not what the papers let expect.
    """

    name: str
    title: str
    command: str
    kept: tuple[str, ...]
    page: str
    tune: str = ""
    published_files: bool = False
    effects: tuple[tuple[str, str], ...] = ()
    measures: tuple[Measure, ...] = ()
    method: str = ""
    length: Length = "short"
    needs: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
