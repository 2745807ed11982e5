"""Key paths whose demonstrations think longer than they need to, as a file of problems.

``python claims/drafts.py --out FOLDER`` writes ``problems.jsonl``. The walk of the default task, misconceptions
included, is drafted in other signs, which the verifier passes over, and drafted again up to four times before it is
written: ``bdfage:`` is answered by ``,->>-, ,->>-,;wxyyxw.`` after two drafts. How often is drawn anew for each
problem, so that nothing but habit says when to stop.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from quantities import default_task

PROBLEMS, MOST_DRAFTS = 3000, 4
SIGNS = str.maketrans("wxyz", ",->|")
BETWEEN, END_OF_DRAFTS = " ", ";"


def rows(count: int) -> list[dict[str, object]]:
    """Problems in the format of a data file."""
    numbers = random.Random("drafts")
    found = []
    for example in default_task().examples("train", count, 0):
        walk = example.demonstrations[0]
        draft = "".join(walk.chunks).translate(SIGNS)
        drafts = [f"{draft}{BETWEEN}"] * (numbers.randint(1, MOST_DRAFTS) - 1) + [f"{draft}{END_OF_DRAFTS}"]
        demonstration = {"chunks": [*drafts, *walk.chunks], "tail": walk.tail}
        row = {"prompt": example.prompt, "answer": example.answer, "task": "key_paths", "demonstration": demonstration}
        found.append(row)
    return found


if __name__ == "__main__":
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True, exist_ok=True)
    (out / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(PROBLEMS)))
