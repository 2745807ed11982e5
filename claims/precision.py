"""Whether speed costs accuracy: UFT on the default task in float32, in bfloat16, and with compiled layers.

``python claims/precision.py --out FOLDER``: the same seeds and settings, those that were chosen for the default task,
with float32 products, with bfloat16 products, and with these and layers that torch compiles. Weights are float32 in
every arm. Finished runs in the folder are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claim import MEASURED_FILE
from measures import Outcome
from measuring import entry
from training import trained

from posttrain.runs import folder

SEEDS = range(16)
METHOD = "uft"
SETTINGS = ("reinforcement.learning_rate=1e-3", "credit=standardised", "likelihood=0.1")
"""As `results/key_paths/tuning.json` has them."""
FLOAT32, BFLOAT16, COMPILED = "float32", "bfloat16", "bfloat16, compiled"
ARMS: Mapping[str, Mapping[str, Any]] = {
    FLOAT32: {"precision": "float32"},
    BFLOAT16: {"precision": "bfloat16"},
    COMPILED: {"precision": "bfloat16", "layers": "compiled"},
}
ACCURACY = Outcome("accuracy", "points", "more", ((FLOAT32, BFLOAT16), (FLOAT32, COMPILED), (BFLOAT16, COMPILED)))


def correct(out: Path, arm: str, seed: int) -> list[float]:
    """Per held-out problem 100 or 0."""
    run = out / f"{arm.replace(', ', '-')}-seed{seed}"
    trained(run, METHOD, {"seed": seed, **ARMS[arm]}, SETTINGS)
    return [100.0 * row["correct"] for row in folder.read_rows(run / folder.HELDOUT)]


def measure(out: Path) -> None:
    """Train, read, write."""
    found = {arm: [correct(out, arm, seed) for seed in SEEDS] for arm in ARMS}
    folder.write_json(out / MEASURED_FILE, {"outcomes": [entry(ACCURACY, found, None)]})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
