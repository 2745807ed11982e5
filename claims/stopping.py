"""How much shorter answers become when the token that ends the thinking is made likelier, and what that costs.

``python claims/stopping.py --out FOLDER``. The models are those that the arm ``rft`` of the claim ``priced`` came to;
nothing is trained. Answers are sampled: the law never changes what is likeliest, so greedy answers stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from claim import MEASURED_FILE
from drafts import END_OF_DRAFTS
from measures import Outcome, Pairs
from measuring import ROOT, entry
from quantities import LONGEST_ANSWER, SEED, correct, default_task, tokens

from posttrain.decoding.stop_temperature import Shifted, StopTemperature
from posttrain.decoding.thinking import Thinking
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.runs import folder
from posttrain.runs.answering import answer_in_batches
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling

MODELS, ARM = ROOT / "runs" / "claims" / "priced", "rft"
TEMPERATURES, UNCHANGED = (1.0, 0.9, 0.8, 0.5, 0.2), 1.0
PROBLEMS, SAMPLES = 290, 4
PAIRS: Pairs = tuple((f"T = {t}", f"T = {UNCHANGED}") for t in TEMPERATURES if t != UNCHANGED)
ACCURACY = Outcome("accuracy", "points", "more", PAIRS)
LENGTH = Outcome("length of an answer", "tokens", "less", PAIRS)


def answers(policy: Policy, temperature: float) -> list[list[Answer]]:
    """Sampled answers to the held-out problems; the thinking begins behind the prompt's colon."""
    engine, task = HuggingFaceEngine(), default_task()
    engine.load(policy, 0)
    rule = StopTemperature(Thinking.between(policy.text, ":", END_OF_DRAFTS), Shifted(temperature))
    sampling, examples = Sampling(1.0, LONGEST_ANSWER, (rule,)), task.examples("heldout", PROBLEMS, 0)
    return answer_in_batches(examples, task.verify, engine, policy.text, sampling, SAMPLES, SEED, lambda done: None)


def measure(out: Path) -> None:
    """Answer with every model at every temperature, and write."""
    rows = [row for row in json.loads((MODELS / "comparison.json").read_text()) if row["method"] == ARM]
    right: dict[str, list[Sequence[float]]] = {}
    lengths: dict[str, list[Sequence[float]]] = {}
    for row in rows:
        policy = load_policy(MODELS / row["run"] / folder.CHECKPOINT, local_runtime("float32"))
        for temperature in TEMPERATURES:
            answered = answers(policy, temperature)
            right.setdefault(f"T = {temperature}", []).append([correct(one) for one in answered])
            lengths.setdefault(f"T = {temperature}", []).append([tokens(one) for one in answered])
    out.mkdir(parents=True, exist_ok=True)
    outcomes = [entry(ACCURACY, right, None), entry(LENGTH, lengths, None)]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes})


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
