"""An imitator whose answers a reward model judges, on the default task: what best-of-n and guided decoding begin with.

For every seed an imitator is trained (``sft``), and from it a reward model on the pairs of the same problems
(``reward_model``). How right an answer is is said by the verifier, which nobody is guided by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from quantities import SEED, answers, correct, default_task
from training import trained

from posttrain.evaluation.accuracy import Answer
from posttrain.evaluation.best_of_n import Pool
from posttrain.heads import load_reward_model
from posttrain.loading import load_policy
from posttrain.policy import Policy
from posttrain.rewards.model_score import ModelScore
from posttrain.runtime import local_runtime
from posttrain.types import REJECTED, Example, Split

SEEDS, TUNING_SEED = (0, 1, 2), 1_000
PROBLEMS, SAMPLES = 250, 16
PAIRS_PER_UPDATE, UPDATES = 32, 450
"""Fourteen times through the pairs: after twice, the loss of a pair has hardly fallen below log 2."""
TASK, RUNTIME = default_task(), local_runtime("float32")


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

    def ranked(self) -> list[float]:
        """Whether the judge prefers the right answer of a held-out pair."""
        pairs = [(e.prompt, e.demonstrations[0].text, str(e.facts[REJECTED])) for e in self.examples()]
        right = self.judge.scores([(prompt, text) for prompt, text, _ in pairs])
        wrong = self.judge.scores([(prompt, text) for prompt, _, text in pairs])
        return [100.0 * (one > other) for one, other in zip(right, wrong)]

    def examples(self) -> tuple[Example, ...]:
        """The problems."""
        return TASK.examples(self.split, PROBLEMS, 0)


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
        judge = load_reward_model(self.judge(rate), RUNTIME)
        return Judged(load_policy(self.imitator(), RUNTIME), ModelScore(judge), self.split)

    def imitator(self) -> Path:
        """The imitator's folder."""
        return trained(self.out / f"sft-seed{self.seed}", "sft", {"seed": self.seed})

    def judge(self, rate: str) -> Path:
        """The reward model's folder."""
        assignments = [f"ranking.prompts_per_step={PAIRS_PER_UPDATE}", f"ranking.learning_rate={rate}"]
        options = {"seed": self.seed, "model": str(self.imitator()), "steps": UPDATES}
        return trained(self.out / f"reward_model-{rate}-seed{self.seed}", "reward_model", options, assignments)


Tried = list[dict[str, object]]
"""A row per candidate of a setting."""


def chosen(setting: str, accuracies: Mapping[str, Sequence[float]], tried: Tried) -> str:
    """The candidate of the highest accuracy, of equals the first; what was tried is added to ``tried``."""
    found = {value: sum(numbers) / len(numbers) for value, numbers in accuracies.items()}
    best = max(found, key=lambda value: found[value])
    tried += [{"setting": setting, "value": v, "accuracy": found[v], "chosen": v == best} for v in found]
    return best
