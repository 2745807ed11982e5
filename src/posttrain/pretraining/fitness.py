"""Whether a base model is a fit beginning: reliable in single steps, able but unreliable in whole problems.

Where the base never solves a problem, reinforcement fails by construction, and a comparison with it proves nothing;
where it solves most, nothing is left to learn.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.evaluation.accuracy import Answer, answer_all, pass_at_k, summarise
from posttrain.loading import load_policy
from posttrain.pretraining.players import LARGEST_NUMBER, LARGEST_VALUE
from posttrain.runs import folder
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling
from posttrain.settings.presets import preset
from posttrain.settings.tasks import build_task
from posttrain.tasks.base import Task
from posttrain.tasks.countdown import Countdown
from posttrain.tasks.countdown_forms import CompactForm

EQUATION = re.compile(r"(?<![0-9])([0-9]+)([-+*/])([0-9]+)=([0-9]+)")
FITNESS = "fitness.json"
SAMPLES, LONGEST_ANSWER = 64, 64


@dataclass(frozen=True)
class Fitness:
    """Shares between 0 and 1, sampled at temperature 1 on held-out problems.

    Args:
        arithmetic: of the equations written in Countdown solutions, those that are true.
        equations: how many there were.
        form: of the answers to the default task, those of the right form.
        countdown_form: the same for Countdown.
        greedy: greedy accuracy on the default task.
        pass_at_1, pass_at_64: on the default task.
        problems: how many.
    """

    arithmetic: float
    equations: int
    form: float
    countdown_form: float
    greedy: float
    pass_at_1: float
    pass_at_64: float
    problems: int


LIMITS = {
    "arithmetic": (0.97, 1.0),
    "form": (0.97, 1.0),
    "pass_at_1": (0.003, 0.04),
    "pass_at_64": (0.15, 1.0),
}
"""What a fit base lies between."""


def measure(model: Path, problems: int = 1000) -> Fitness:
    """Measure a base on the default task of the preset ``tiny`` and on compact Countdown; writes ``fitness.json``."""
    policy = load_policy(model, local_runtime())
    engine = HuggingFaceEngine()
    engine.load(policy, 0)

    def answers(task: Task, count: int, samples: int, temperature: float) -> list[list[Answer]]:
        examples, sampling = task.examples("heldout", count, 0), Sampling(temperature, LONGEST_ANSWER)
        return answer_all(examples, task.verify, engine, policy.text, sampling, samples, seed=0)

    default = build_task(dict(preset("tiny").task or {}))
    sampled = answers(default, problems, SAMPLES, 1.0)
    games = [row[0] for row in answers(COUNTDOWN, problems, 1, 1.0)]
    truths = list(equations(answer.response for answer in games))
    fitness = Fitness(
        arithmetic=sum(truths) / len(truths),
        equations=len(truths),
        form=summarise([answer for row in sampled for answer in row]).valid_rate,
        countdown_form=summarise(games).valid_rate,
        greedy=summarise([row[0] for row in answers(default, problems, 1, 0.0)]).accuracy,
        pass_at_1=pass_at_k(sampled, 1),
        pass_at_64=pass_at_k(sampled, SAMPLES),
        problems=problems,
    )
    folder.write_json(model / FITNESS, dataclasses.asdict(fitness))
    return fitness


COUNTDOWN = Countdown(counts=(4,), form=CompactForm(), largest_number=LARGEST_NUMBER, largest_value=LARGEST_VALUE)


def equations(responses: Iterable[str]) -> Iterable[bool]:
    """Of every ``a operator b = c`` in the responses, whether it is true."""
    for response in responses:
        for left, operator, right, value in EQUATION.findall(response):
            yield _result(int(left), operator, int(right)) == int(value)


def _result(left: int, operator: str, right: int) -> Fraction | None:
    if operator == "/":
        return Fraction(left, right) if right else None
    return Fraction({"+": left + right, "-": left - right, "*": left * right}[operator])


def require(fitness: Fitness) -> None:
    """Refuse a base outside the limits.

    Raises:
        UserError: naming the first quantity that is outside.
    """
    for name, (low, high) in LIMITS.items():
        value = getattr(fitness, name)
        if not low <= value <= high:
            raise UserError(
                f"this base is no fit beginning: {name} is {value:.2%}, not between {low:.1%} and {high:.1%}; "
                "pretrain longer, or change the corpus"
            )
