"""This library, through its public interface and with its own defaults where they only change speed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from serving import Line, timed
from work import Row, Work, reward, rows, text

from posttrain.durations import Fraction
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.loop import one_step, start
from posttrain.methods import rft, sft, uft
from posttrain.policy import Policy
from posttrain.rewards.verified import Verified
from posttrain.rollouts.hints import BinomialCosine
from posttrain.runtime import LocalRuntime, local_runtime
from posttrain.stage import Problems, Stage
from posttrain.types import Demonstration, Example, Sampling, Verdict

WARM_UP = 2


def example(number: int, row: Row, hint_tokens: int) -> Example:
    """A row as this library wants it: the hint is the demonstration's only chunk, the rest its tail."""
    hint, rest = row.completion[:hint_tokens], row.completion[hint_tokens:]
    demonstration = Demonstration((text(hint),), text(rest)) if hint else Demonstration((text(rest),))
    return Example(str(number), text(row.prompt), row.live, (demonstration,))


def verify(response: str, example: Example) -> Verdict:
    """The reward of a completion."""
    return Verdict(reward(response, bool(example.answer)), "", True)


def stage(work: Work) -> Stage:
    """The work's stage, at learning rate 0 so that every step is alike."""
    examples = tuple(example(i, row, work.hint_tokens) for i, row in enumerate(rows(work, 0)))
    problems = Problems(examples, verify, Verified(verify))
    if work.kind == "sft":
        return sft.stage(problems, 1, sft.Supervision(prompts_per_step=work.prompts, learning_rate=0.0))
    settings = rft.Reinforcement(
        prompts_per_step=work.prompts, rollouts_per_prompt=work.completions, groups_per_update=None, learning_rate=0.0,
        max_new_tokens=work.completion_tokens - work.hint_tokens, kl_coefficient=0.0, entropy=0.0,
    )  # fmt: skip
    if work.kind == "grpo":
        return rft.recipe(problems, steps=1, reinforcement=settings).stages[0]
    always = BinomialCosine(1.0, 1.0, Fraction(1.0))
    return uft.recipe(problems, steps=1, hints=always, reinforcement=settings).stages[0]


def training(work: Work, policy: Policy, runtime: LocalRuntime) -> Callable[[], dict[str, Any]]:
    """A repetition is one step of the loop."""
    session = start(stage(work), policy, 0)

    def measure() -> dict[str, Any]:
        before, passed = session.spent.tokens_sampled, policy.tokens_differentiated
        seconds = timed(lambda: one_step(session, runtime))
        sampled, trained = session.spent.tokens_sampled - before, policy.tokens_differentiated - passed
        return {"seconds": seconds, "tokens_sampled": sampled, "tokens_trained": trained}

    return measure


def sampling(work: Work, policy: Policy) -> Callable[[], dict[str, Any]]:
    """A repetition is one call of the engine with prompts of its own."""
    engine, rule, repetition = HuggingFaceEngine(), Sampling(1.0, work.completion_tokens), iter(range(1 << 30))
    generator = torch.Generator().manual_seed(0)

    def measure() -> dict[str, Any]:
        engine.load(policy, 0)
        prompts = [torch.tensor(row.prompt) for row in rows(work, next(repetition))]
        made: list[Any] = []
        seconds = timed(lambda: made.extend(engine.generate(prompts, rule, work.completions, generator)))
        return {"seconds": seconds, "tokens_sampled": sum(len(c.tokens) for group in made for c in group)}

    return measure


def main() -> None:
    """Serve one work."""
    line = Line()
    work, folder = line.work(), sys.argv[1]
    torch.set_num_threads(int(sys.argv[2]))
    runtime = local_runtime("auto")
    policy = load_policy(folder, runtime)
    measure = sampling(work, policy) if work.kind == "sampling" else training(work, policy, runtime)
    for _ in range(WARM_UP):
        measure()
    line.ready(("posttrain", "torch", "transformers"), {"autocast": str(runtime.autocast)})
    while line.asked():
        line.answer(measure())


if __name__ == "__main__":
    main()
