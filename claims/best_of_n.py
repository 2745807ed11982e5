"""What a reward model chooses among the samples of an imitator, on the default task.

``python claims/best_of_n.py --out FOLDER``. The reward model's learning rate is chosen on the validation split, by the
accuracy of the best of 16 and by models with a seed of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from claim import MEASURED_FILE
from judged import SEEDS, TUNING_SEED, Judged, Runs, Tried, chosen
from measures import Outcome
from measuring import entry

from posttrain.runs import folder

RATES = ("3e-4", "1e-3")
GREEDY, ONE, FREQUENT, BEST = "greedy", "one sample", "most frequent of 16", "best of 16"
ACCURACY = Outcome("accuracy", "points", "more", ((BEST, ONE), (BEST, GREEDY), (BEST, FREQUENT)))
RANKED = Outcome("held-out pairs that the reward model ranks right", "points", "more")


def answered(judged: Judged) -> dict[str, Sequence[float]]:
    """The problems, answered in every way."""
    return {
        GREEDY: judged.greedy(judged.imitator),
        ONE: judged.one_sample(),
        FREQUENT: judged.most_frequent(),
        BEST: judged.best(),
    }


def measure(out: Path) -> None:
    """Tune, train, answer the held-out problems, write."""
    tried: Tried = []
    tuning = Runs(out, TUNING_SEED, "validation")
    rate = chosen("rate of the reward model", {rate: tuning.judged(rate).best() for rate in RATES}, tried)
    found: dict[str, list[Sequence[float]]] = {}
    ranked: list[Sequence[float]] = []
    for seed in SEEDS:
        judged = Runs(out, seed, "heldout").judged(rate)
        ranked.append(judged.ranked())
        for name, numbers in answered(judged).items():
            found.setdefault(name, []).append(numbers)
    outcomes = [entry(ACCURACY, found, None), entry(RANKED, {"reward model": ranked}, None)]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes, "tried": tried})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
