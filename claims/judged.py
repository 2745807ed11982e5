"""What a reward model is good for: choosing among samples, and guiding the decoding, on the default task.

``python claims/judged.py --out FOLDER``. For every seed an imitator is trained (``sft``), from it a reward model on the
pairs of the same problems (``reward_model``), and from it, reinforced by that reward model, an aligned model (``rft``).
The reward model judges; how right the chosen answers are is said by the verifier, which nobody is guided by. Learning
rates and alphas are chosen on the validation split, by models with a seed of their own.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from claim import MEASURED_FILE
from measures import Outcome, Pairs
from measuring import entry
from quantities import LONGEST_ANSWER, SEED, answers, correct, default_task
from training import trained

from posttrain.decoding.transfer_q import CandidateValue, Immediate, LookAhead, ValueGuided
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.evaluation.accuracy import Answer
from posttrain.evaluation.best_of_n import Pool
from posttrain.heads import load_reward_model
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.rewards.model_score import ModelScore
from posttrain.runs import folder
from posttrain.runs.answering import answer_in_batches
from posttrain.runtime import local_runtime
from posttrain.types import REJECTED, Example, Sampling, Split

SEEDS, TUNING_SEED = (0, 1, 2), 1_000
JUDGE_RATES, ALIGNED_RATES = ("3e-4", "1e-3", "3e-3"), ("3e-4", "1e-3")
ALPHAS = ("1", "0.3", "0.1")
PROBLEMS, SAMPLES, CANDIDATES, LOOK_AHEAD = 250, 16, 5, 8
TASK, RUNTIME = default_task(), local_runtime("float32")
GREEDY, ONE, FREQUENT, BEST = "greedy", "one sample", "most frequent of 16", "best of 16"
ARGS, CD, TRANSFER_Q, ALIGNED = "ARGS", "CD", "Transfer Q*", "aligned model"
BEST_OF_N: Pairs = ((BEST, ONE), (BEST, GREEDY), (BEST, FREQUENT))
GUIDED: Pairs = tuple((TRANSFER_Q, other) for other in (GREEDY, ARGS, CD, BEST, ALIGNED))
ACCURACY = Outcome("accuracy", "points", "more", (*BEST_OF_N, *GUIDED))
Way = Callable[[], Sequence[float]]
"""Answers every problem: 100 for a right answer, 0 for a wrong one."""


@dataclass(frozen=True, eq=False)
class Judged:
    """An imitator whose answers are judged.

    Args:
        imitator: answers.
        judge: scores answers.
        split: of the problems.
    """

    imitator: Policy
    judge: ModelScore
    split: Split

    def greedy(self, policy: Policy) -> list[float]:
        """The most likely token at every step, by any model."""
        return [correct(row) for row in answers(policy, TASK, PROBLEMS, 1, self.split)]

    def pools(self) -> list[list[Answer]]:
        """Samples of the imitator, the same for every way of choosing among them."""
        return answers(self.imitator, TASK, PROBLEMS, SAMPLES, self.split)

    def one_sample(self) -> list[float]:
        """The first one."""
        return [correct(row[:1]) for row in self.pools()]

    def most_frequent(self) -> list[float]:
        """What was said most often; of equals, what was said first."""
        counted = [(row, Counter(answer.response for answer in row).most_common(1)[0][0]) for row in self.pools()]
        return [correct([answer for answer in row if answer.response == text][:1]) for row, text in counted]

    def best(self) -> list[float]:
        """What the judge gives the highest score."""
        numbers = torch.Generator().manual_seed(SEED)
        return [self._best(row, example, numbers) for row, example in zip(self.pools(), self.examples())]

    def _best(self, row: Sequence[Answer], example: Example, numbers: torch.Generator) -> float:
        texts = tuple(answer.response for answer in row)
        pool = Pool(texts, tuple(self.judge.scores([(example.prompt, text) for text in texts])))
        (chosen,) = pool.best(len(texts), 1, numbers)
        return correct([row[texts.index(chosen)]])

    def guided(self, value: CandidateValue, alpha: float) -> list[float]:
        """The imitator's greedy answers under a value."""
        engine = HuggingFaceEngine()
        engine.load(self.imitator, 0)
        sampling = Sampling(0.0, LONGEST_ANSWER, (ValueGuided(value, CANDIDATES, alpha),))
        rows = answer_in_batches(
            self.examples(), TASK.verify, engine, self.imitator.text, sampling, 1, SEED, lambda done: None
        )
        return [correct(row) for row in rows]

    def values(self, aligned: Policy) -> dict[str, CandidateValue]:
        """What a candidate is worth: judged as it stands, or where the imitator or the aligned model takes it."""
        text = self.imitator.text
        return {
            ARGS: Immediate(text, self._score),
            CD: LookAhead(_engine(self.imitator), text, self._score, LOOK_AHEAD),
            TRANSFER_Q: LookAhead(_engine(aligned), text, self._score, LOOK_AHEAD),
        }

    def ranked(self) -> list[float]:
        """Whether the judge prefers the right answer of a held-out pair."""
        pairs = [(e.prompt, e.demonstrations[0].text, str(e.facts[REJECTED])) for e in self.examples()]
        right = self.judge.scores([(prompt, text) for prompt, text, _ in pairs])
        wrong = self.judge.scores([(prompt, text) for prompt, _, text in pairs])
        return [100.0 * (one > other) for one, other in zip(right, wrong)]

    def examples(self) -> tuple[Example, ...]:
        """The problems."""
        return TASK.examples(self.split, PROBLEMS, 0)

    def _score(self, texts: Sequence[str]) -> list[float]:
        return self.judge.scores([("", text) for text in texts])


def _engine(policy: Policy) -> HuggingFaceEngine:
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    return engine


@dataclass(frozen=True)
class Runs:
    """Where the models of a seed are, trained when they are first asked for.

    Args:
        out: the folder of all runs.
        seed: theirs.
        split: of the problems that they answer.
    """

    out: Path
    seed: int
    split: Split

    def judged(self, rate: str) -> Judged:
        """The imitator, and a reward model trained at this rate."""
        judge = load_reward_model(self._judge(rate), RUNTIME)
        return Judged(load_policy(self._imitator(), RUNTIME), ModelScore(judge), self.split)

    def aligned(self, judge_rate: str, rate: str) -> Policy:
        """The imitator, reinforced at this rate by that reward model."""
        assignments = [f"reinforcement.learning_rate={rate}", f"stage.reward.reward_model={self._judge(judge_rate)}"]
        options = {"seed": self.seed, "model": str(self._imitator())}
        path = self.out / f"rft-{judge_rate}-{rate}-seed{self.seed}"
        return load_policy(trained(path, "rft", options, assignments), RUNTIME)

    def _imitator(self) -> Path:
        return trained(self.out / f"sft-seed{self.seed}", "sft", {"seed": self.seed})

    def _judge(self, rate: str) -> Path:
        assignments = ["ranking.prompts_per_step=16", f"ranking.learning_rate={rate}"]
        options = {"seed": self.seed, "model": str(self._imitator()), "steps": 120}
        return trained(self.out / f"reward_model-{rate}-seed{self.seed}", "reward_model", options, assignments)


Tried = list[dict[str, object]]
"""A row per candidate of a setting."""


def chosen(setting: str, accuracies: Mapping[str, Sequence[float]], tried: Tried) -> str:
    """The candidate of the highest accuracy, of equals the first; what was tried is added to ``tried``."""
    found = {value: sum(numbers) / len(numbers) for value, numbers in accuracies.items()}
    best = max(found, key=lambda value: found[value])
    tried += [{"setting": setting, "value": v, "accuracy": found[v], "chosen": v == best} for v in found]
    return best


def measure(out: Path) -> None:
    """Tune on the validation split; then answer the held-out problems in every way, and write."""
    tried: Tried = []
    tuning = Runs(out, TUNING_SEED, "validation")
    judge_rate = chosen("judge's rate", {rate: tuning.judged(rate).best() for rate in JUDGE_RATES}, tried)
    judged = tuning.judged(judge_rate)
    policies = {rate: tuning.aligned(judge_rate, rate) for rate in ALIGNED_RATES}
    rate = chosen("aligned model's rate", {r: judged.greedy(policy) for r, policy in policies.items()}, tried)
    alphas = {
        name: chosen(f"alpha of {name}", {alpha: judged.guided(value, float(alpha)) for alpha in ALPHAS}, tried)
        for name, value in judged.values(policies[rate]).items()
    }
    found: dict[str, list[Sequence[float]]] = {}
    ranked: list[Sequence[float]] = []
    for seed in SEEDS:
        runs = Runs(out, seed, "heldout")
        held_out = runs.judged(judge_rate)
        ranked.append(held_out.ranked())
        for name, numbers in answered(held_out, runs.aligned(judge_rate, rate), alphas).items():
            found.setdefault(name, []).append(numbers)
    pairs = Outcome("held-out pairs that the reward model ranks right", "points", "more")
    outcomes = [entry(ACCURACY, found, None), entry(pairs, {"reward model": ranked}, None)]
    folder.write_json(out / MEASURED_FILE, {"outcomes": outcomes, "tried": tried})


def answered(judged: Judged, aligned: Policy, alphas: Mapping[str, str]) -> dict[str, Sequence[float]]:
    """The held-out problems, answered in every way."""
    return {
        GREEDY: judged.greedy(judged.imitator),
        ONE: judged.one_sample(),
        FREQUENT: judged.most_frequent(),
        BEST: judged.best(),
        **{name: judged.guided(value, float(alphas[name])) for name, value in judged.values(aligned).items()},
        ALIGNED: judged.greedy(aligned),
    }


if __name__ == "__main__":
    measure(Path(sys.argv[sys.argv.index("--out") + 1]))
