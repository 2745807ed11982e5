"""This library, through its public interface, with its own defaults; ``tuning.py`` may choose compiled layers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.contestants.serving import Line, timed
from benchmarks.contestants.work import Row, Work, reward, rows, text
from posttrain.data.checkers import Checker
from posttrain.durations import Fraction
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.loop import one_step, start
from posttrain.methods import rft, uft
from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.rewards.verified import Verified
from posttrain.rollouts.hints import BinomialCosine
from posttrain.runtime import LocalRuntime, local_runtime
from posttrain.sampling import Sampling
from posttrain.stage import Problems, Stage
from posttrain.stages import reinforced, supervised
from posttrain.types import Demonstration, Example, Verdict

WHOLE_HINT = BinomialCosine(start=1.0, end=1.0, hinted=Fraction(1.0))
"""Every step gives all chunks of a demonstration; its tail is never part of a hint."""


def example(number: int, row: Row, hint_tokens: int) -> Example:
    """A row as this library wants it; the hint is the demonstration's only chunk."""
    given = row.completion[: hint_tokens or None]
    demonstration = Demonstration((text(given),), text(row.completion[len(given) :]))
    return Example(str(number), text(row.prompt), row.live, (demonstration,))


def verify(response: str, example: Example) -> Verdict:
    """The reward of a completion."""
    return Verdict(reward(response, bool(example.answer)), "", True)


CHECKER = Checker(verify, bool)
"""Of the rows of a file; their answer says whether the group is alive."""


def examples(work: Work, count: int) -> Iterator[Example]:
    """The rows of a step, over and over, with other last tokens; every example has texts of its own in memory."""
    chosen = rows(work, 0)
    for number in range(count):
        turn, index = divmod(number, len(chosen))
        row = chosen[index]
        last = (row.prompt[-1] + turn - 1) % (work.vocabulary - 1) + 1
        yield example(number, replace(row, prompt=[*row.prompt[:-1], last]), work.hint_tokens)


def write(work: Work, count: int, path: Path) -> None:
    """The same as a file of JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        for one in examples(work, count):
            (given,) = one.demonstrations
            shown = {"chunks": given.chunks, "tail": given.tail}
            line = {"prompt": one.prompt, "answer": one.answer, "demonstration": shown}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def stage(work: Work, data_set: Sequence[Example] | None = None) -> Stage:
    """The work's stage, at learning rate 0 so that every step is alike.

    Args:
        work: what a step does.
        data_set: ``None`` takes as many examples as a step has prompts, so that every step sees them all.
    """
    chosen = tuple(examples(work, work.prompts)) if data_set is None else data_set
    problems = Problems(chosen, verify, Verified(verify))
    if work.kind == "sft":
        return supervised.stage(problems, 1, supervised.Supervision(prompts_per_step=work.prompts, learning_rate=0.0))
    settings = reinforced.Reinforcement(
        prompts_per_step=work.prompts, rollouts_per_prompt=work.completions, groups_per_update=None, learning_rate=0.0,
        max_new_tokens=work.completion_tokens - work.hint_tokens, kl_coefficient=0.0, entropy=0.0,
    )  # fmt: skip
    if work.kind == "grpo":
        return rft.recipe(problems, steps=1, reinforcement=settings).stages[0]
    return uft.recipe(problems, steps=1, hints=WHOLE_HINT, reinforcement=settings).stages[0]


def training(
    work: Work,
    policy: Policy,
    runtime: LocalRuntime,
    data_set: Sequence[Example] | None = None,
    engine: Engine | None = None,
) -> Callable[[], dict[str, float]]:
    """A repetition is one step of the loop; ``engine`` is this library's unless another one is given."""
    session = start(stage(work, data_set), policy, 0, engine)

    def measure() -> dict[str, float]:
        sampled, trained = session.spent.tokens_sampled, policy.tokens_differentiated
        passed = timed(lambda: one_step(session, runtime))
        counted = {"tokens_sampled": session.spent.tokens_sampled - sampled}
        return {**passed, **counted, "tokens_trained": policy.tokens_differentiated - trained}

    return measure


def sampling(work: Work, policy: Policy) -> Callable[[], dict[str, float]]:
    """A repetition is one call of the engine with prompts of its own."""
    engine, rule, repetitions = HuggingFaceEngine(), Sampling(1.0, work.completion_tokens), iter(range(1 << 30))
    generator = torch.Generator().manual_seed(0)

    def measure() -> dict[str, float]:
        prompts = [torch.tensor(row.prompt) for row in rows(work, next(repetitions))]
        made: list[Any] = []

        def action() -> None:
            engine.load(policy, 0)
            made.extend(engine.generate(prompts, rule, work.completions, generator))

        return {**timed(action), "tokens_sampled": sum(len(c.tokens) for group in made for c in group)}

    return measure


def repetition(
    work: Work, policy: Policy, runtime: LocalRuntime, data_set: Sequence[Example] | None = None
) -> Callable[[], dict[str, float]]:
    """What does the work once."""
    if work.kind == "sampling":
        return sampling(work, policy)
    return training(work, policy, runtime, data_set)


def main() -> None:
    """Serve one work."""
    line = Line()
    order = line.order()
    torch.set_num_threads(order.threads)
    runtime = local_runtime("auto", **order.settings)
    policy = load_policy(order.folder, runtime)
    line.serve(repetition(order.work, policy, runtime), "posttrain", "torch", "transformers")


if __name__ == "__main__":
    main()
