"""What the phrases of TLDR do: the models of the claim ``levels``, asked for short, moderate and long answers.

``python claims/levels.py --out FOLDER``; nothing is trained. Greedy answers to the held-out problems of the default
task. RFT's models are asked as they were trained, without a phrase.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from claim import MEASURED_FILE
from drafts import LEVELS
from measures import Outcome, Pairs
from measuring import ROOT, entry
from quantities import Problems, answers, correct, default_task, tokens

from posttrain.curation.levels import at_level
from posttrain.loading import load_policy
from posttrain.runs import folder
from posttrain.runtime import local_runtime
from posttrain.types import Example, Split, Verdict

MODELS = ROOT / "runs" / "claims" / "levels"
PROBLEMS = 290
PHRASES = LEVELS.phrases()
PRICED, UNPRICED, PLAIN = "tldr", "unpriced", "rft"
SHORT, MODERATE, LONG = (f"{PRICED}, {level}" for level in PHRASES)
IN_ORDER: Pairs = ((SHORT, MODERATE), (MODERATE, LONG), (SHORT, LONG))
UNPRICED_IN_ORDER: Pairs = ((f"{UNPRICED}, short", f"{UNPRICED}, long"),)
AS_PHRASED: Pairs = tuple((f"{PRICED}, {level}", f"{UNPRICED}, {level}") for level in PHRASES)
AGAINST_RFT: Pairs = tuple((level, PLAIN) for level in (SHORT, MODERATE, LONG))
LENGTH = Outcome("length of an answer", "tokens", "less", (*IN_ORDER, *UNPRICED_IN_ORDER, *AS_PHRASED, *AGAINST_RFT))
ACCURACY = Outcome("accuracy", "points", "more", (*AS_PHRASED, *AGAINST_RFT, (LONG, SHORT)))


@dataclass(frozen=True)
class Asked:
    """A task whose problems are asked at a level.

    Args:
        task: the problems as they are.
        level: its name.
        phrase: behind every prompt.
    """

    task: Problems
    level: str
    phrase: str

    def examples(self, split: Split, count: int, seed: int) -> tuple[Example, ...]:
        """The task's, with the phrase."""
        return tuple(at_level(e, self.level, self.phrase) for e in self.task.examples(split, count, seed))

    def verify(self, response: str, example: Example) -> Verdict:
        """As the task does."""
        return self.task.verify(response, example)


def asked(arm: str) -> Mapping[str, Problems]:
    """Name in the tables -> the problems as an arm's models are asked them."""
    task = default_task()
    if arm == PLAIN:
        return {PLAIN: task}
    return {f"{arm}, {level}": Asked(task, level, phrase) for level, phrase in PHRASES.items()}


def measure(out: Path) -> None:
    """Answer with every model at every level, and write."""
    lengths: dict[str, list[Sequence[float]]] = {}
    right: dict[str, list[Sequence[float]]] = {}
    for row in json.loads((MODELS / "comparison.json").read_text()):
        policy = load_policy(MODELS / row["run"] / folder.CHECKPOINT, local_runtime("float32"))
        for name, problems in asked(row["method"]).items():
            answered = answers(policy, problems, PROBLEMS, 1)
            lengths.setdefault(name, []).append([tokens(one) for one in answered])
            right.setdefault(name, []).append([correct(one) for one in answered])
    out.mkdir(parents=True, exist_ok=True)
    outcomes = [entry(LENGTH, lengths, None), entry(ACCURACY, right, None)]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
