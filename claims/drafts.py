"""Key paths whose demonstrations think longer than they need to, as a file of problems.

``python claims/drafts.py --out FOLDER`` writes ``problems.jsonl``. The walk of the default task, misconceptions
included, is drafted in other signs, which the verifier passes over, and drafted again up to four times before it is
written: ``bdfage:`` is answered by ``,->>-, ,->>-,;wxyyxw.`` after two drafts. How often is drawn anew for each
problem, so that nothing but habit says when to stop.

``asked.jsonl`` holds other problems of the same kind, behind which ``S``, ``M``, ``L`` or nothing stands, by chance: a
model that imitates them has read these phrases, and they say nothing to it.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from quantities import default_task

from posttrain.curation.levels import ThreeLevels

PROBLEMS, MOST_DRAFTS = 3000, 4
SIGNS = str.maketrans("wxyz", ",->|")
BETWEEN, END_OF_DRAFTS = " ", ";"
LEVELS = ThreeLevels("S", "M", "L")


def rows(count: int, seed: int = 0, phrases: Sequence[str] = ("",)) -> list[dict[str, object]]:
    """Problems in the format of a data file.

    Args:
        count: of problems.
        seed: which problems.
        phrases: one of them stands behind every problem.
    """
    numbers, behind = random.Random("drafts"), random.Random("phrases")
    found = []
    for example in default_task().examples("train", count, seed):
        walk = example.demonstrations[0]
        draft = "".join(walk.chunks).translate(SIGNS)
        drafts = [f"{draft}{BETWEEN}"] * (numbers.randint(1, MOST_DRAFTS) - 1) + [f"{draft}{END_OF_DRAFTS}"]
        demonstration = {"chunks": [*drafts, *walk.chunks], "tail": walk.tail}
        prompt = example.prompt + behind.choice(phrases)
        found.append({"prompt": prompt, "answer": example.answer, "task": "key_paths", "demonstration": demonstration})
    return found


def write(path: Path, problems: Sequence[dict[str, object]]) -> None:
    """A file of problems, one per line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in problems))


if __name__ == "__main__":
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True, exist_ok=True)
    write(out / "problems.jsonl", rows(PROBLEMS))
    write(out / "asked.jsonl", rows(2 * PROBLEMS, 1, ("", *LEVELS.phrases().values())))
