"""What a model can do when it ends early: the same problems, answered at several depths."""

from __future__ import annotations

from collections.abc import Sequence

from posttrain.blocks import up_to
from posttrain.evaluation.accuracy import Answer, answer_all
from posttrain.policy import Policy
from posttrain.protocols import Engine
from posttrain.sampling import Sampling
from posttrain.types import Example, Verify


def answer_at_depths(
    depths: Sequence[int],
    policy: Policy,
    engine: Engine,
    examples: Sequence[Example],
    verify: Verify,
    sampling: Sampling,
    samples: int,
    seed: int,
) -> dict[int, list[list[Answer]]]:
    """Let the first layers alone answer every problem, with the whole model's norm and head.

    Args:
        depths: numbers of layers.
        policy: the whole model; the engine writes with it again afterwards.
        engine: any that takes a policy.
        examples: the problems.
        verify: judges an answer.
        sampling: how answers are written.
        samples: answers per problem.
        seed: of the sampling, the same at every depth.

    Returns:
        Per depth and problem, ``samples`` judged answers.

    Raises:
        UserError: the model has fewer layers.
    """
    answers, version = {}, engine.version
    try:
        for depth in depths:
            engine.load(up_to(policy, depth), version)
            answers[depth] = answer_all(examples, verify, engine, policy.text, sampling, samples, seed)
    finally:
        engine.load(policy, version)
    return answers
