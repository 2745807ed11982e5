"""Decoding that is guided by a reward model, on the default task: ARGS, controlled decoding, Transfer Q*.

``python claims/guided.py --out FOLDER``. Imitators and reward models are those of the claim ``best_of_n``, which comes
before; the model that Transfer Q* looks ahead with is the imitator, reinforced by the reward model. Learning rate and
alphas are chosen on the validation split, by models with a seed of their own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from claim import MEASURED_FILE
from judged import PROBLEMS, RUNTIME, SEEDS, TASK, TUNING_SEED, Judged, Runs, Tried, chosen
from measures import Outcome, Pairs
from measuring import ROOT, entry
from quantities import LONGEST_ANSWER, SEED, correct
from training import trained

from posttrain.decoding.transfer_q import CandidateValue, Immediate, LookAhead, ValueGuided
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.runs import folder
from posttrain.runs.answering import answer_in_batches
from posttrain.sampling import Sampling
from posttrain.types import Split

JUDGES = ROOT / "runs" / "claims" / "best_of_n"
RATES, ALPHAS = ("3e-4", "1e-3"), ("1", "0.3", "0.1")
CANDIDATES, LOOK_AHEAD = 5, 8
GREEDY, ARGS, CD, TRANSFER_Q, ALIGNED = "greedy", "ARGS", "CD", "Transfer Q*", "aligned model"
GUIDED: Pairs = tuple((TRANSFER_Q, other) for other in (GREEDY, ARGS, CD, ALIGNED))
ACCURACY = Outcome("accuracy", "points", "more", GUIDED)


def aligned(out: Path, seed: int, judge_rate: str, rate: str) -> Policy:
    """The imitator of a seed, reinforced at this rate by its reward model."""
    runs = Runs(JUDGES, seed, "heldout")
    assignments = [f"reinforcement.learning_rate={rate}", f"stage.reward.reward_model={runs.judge(judge_rate)}"]
    options = {"seed": seed, "model": str(runs.imitator())}
    return load_policy(trained(out / f"rft-{rate}-seed{seed}", "rft", options, assignments), RUNTIME)


def values(judged: Judged, policy: Policy) -> dict[str, CandidateValue]:
    """What a candidate is worth: judged as it stands, or where the imitator or the aligned model takes it."""
    text = judged.imitator.text

    def score(texts: Sequence[str]) -> list[float]:
        return judged.judge.scores([("", written) for written in texts])

    return {
        ARGS: Immediate(text, score),
        CD: LookAhead(_engine(judged.imitator), text, score, LOOK_AHEAD),
        TRANSFER_Q: LookAhead(_engine(policy), text, score, LOOK_AHEAD),
    }


def guided(imitator: Policy, split: Split, value: CandidateValue, alpha: float) -> list[float]:
    """The imitator's greedy answers under a value."""
    sampling = Sampling(0.0, LONGEST_ANSWER, (ValueGuided(value, CANDIDATES, alpha),))
    examples, engine = TASK.examples(split, PROBLEMS, 0), _engine(imitator)
    rows = answer_in_batches(examples, TASK.verify, engine, imitator.text, sampling, 1, SEED, lambda done: None)
    return [correct(row) for row in rows]


def answered(judged: Judged, policy: Policy, alphas: Mapping[str, str]) -> dict[str, Sequence[float]]:
    """The problems, answered in every way."""
    return {
        GREEDY: judged.greedy(judged.imitator),
        **{
            name: guided(judged.imitator, judged.split, value, float(alphas[name]))
            for name, value in values(judged, policy).items()
        },
        ALIGNED: judged.greedy(policy),
    }


def measure(out: Path) -> None:
    """Tune, train, answer the held-out problems, write."""
    tried: Tried = []
    known = json.loads((JUDGES / MEASURED_FILE).read_text())["tried"]
    judge_rate = next(str(row["value"]) for row in known if row["chosen"])
    judged = Runs(JUDGES, TUNING_SEED, "validation").judged(judge_rate)
    policies = {rate: aligned(out, TUNING_SEED, judge_rate, rate) for rate in RATES}
    rate = chosen("rate of the aligned model", {r: judged.greedy(policy) for r, policy in policies.items()}, tried)
    alphas = {
        name: chosen(
            f"alpha of {name}", {a: guided(judged.imitator, judged.split, value, float(a)) for a in ALPHAS}, tried
        )
        for name, value in values(judged, policies[rate]).items()
    }
    found: dict[str, list[Sequence[float]]] = {}
    for seed in SEEDS:
        held_out = Runs(JUDGES, seed, "heldout").judged(judge_rate)
        for name, numbers in answered(held_out, aligned(out, seed, judge_rate, rate), alphas).items():
            found.setdefault(name, []).append(numbers)
    folder.write_json(out / MEASURED_FILE, {"outcomes": [entry(ACCURACY, found, None)], "tried": tried})


def _engine(policy: Policy) -> HuggingFaceEngine:
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    return engine


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
