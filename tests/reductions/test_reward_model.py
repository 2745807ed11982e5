"""What a reward model is at its beginning, what it learns, and what is done with it."""

import dataclasses
import math
import random
from functools import cache

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL, SMALL_RANKING, continue_run, gradient_of, run, run_recipe
from posttrain.evaluation.best_of_n import pool
from posttrain.evaluation.ranking import Pair, ranked_right
from posttrain.loop import start
from posttrain.methods import reward_model, rft
from posttrain.methods.reward_model import Ranking
from posttrain.policy import Policy
from posttrain.rewards.model_score import ModelScore
from posttrain.stage import Problems, Stage
from posttrain.types import Demonstration, Example
from tolerances import FLOAT32_MODEL, GRADIENT

ALL = dataclasses.replace(SMALL_RANKING, prompts_per_step=8)


def stage(problems: Problems, settings: Ranking = ALL, steps: int = 1) -> Stage:
    (only,) = reward_model.recipe(problems, steps=steps, ranking=settings).stages
    return only


def swapped(problems: Problems) -> Problems:
    """What was preferred is rejected."""
    examples = tuple(
        dataclasses.replace(
            e, demonstrations=(Demonstration((e.facts["rejected"],)),), facts={"rejected": e.demonstrations[0].text}
        )
        for e in problems.examples
    )
    return dataclasses.replace(problems, examples=examples)


def last_state(policy: Policy, prompt: str, response: str) -> Tensor:
    tokens = torch.cat([policy.text.encode(prompt + response), torch.tensor([policy.text.end])])[None]
    return policy.model(input_ids=tokens, output_hidden_states=True).hidden_states[-1][0, -1].detach().float()


def test_it_begins_at_log_two_and_moves_the_head_alone_by_half_the_difference_of_the_last_states() -> None:
    problems, policy = toy_problems(), tiny_policy()
    gradient = gradient_of(stage(problems), policy)
    differences = [
        last_state(tiny_policy(), e.prompt, e.demonstrations[0].text)
        - last_state(tiny_policy(), e.prompt, e.facts["rejected"])
        for e in problems.examples
    ]
    expected = -torch.stack(differences).mean(0) / 2
    *trunk, bias = gradient.split([len(gradient) - 1 - policy.width, policy.width, 1])
    assert not bool(trunk[0].any())
    assert float(bias) == pytest.approx(0.0, abs=GRADIENT)
    torch.testing.assert_close(trunk[1].float(), expected, rtol=FLOAT32_MODEL, atol=FLOAT32_MODEL)
    (record,) = run(stage(problems), tiny_policy())
    assert record.losses["ranking"] == pytest.approx(math.log(2), rel=FLOAT32_MODEL)


def test_pairs_turned_round_are_the_model_with_the_sign_turned() -> None:
    """The head begins at 0, so the two runs stay mirror images: equal trunks, opposite heads, equal losses."""
    forth, back = (start(stage(p, steps=4), tiny_policy(), 0) for p in (toy_problems(), swapped(toy_problems())))
    losses = [[r.losses["ranking"] for r in continue_run(session)] for session in (forth, back)]
    assert losses[0] == pytest.approx(losses[1], rel=FLOAT32_MODEL)
    one, other = (session.policy.heads["score"].weight.detach() for session in (forth, back))
    assert bool(one.any())
    torch.testing.assert_close(one, -other, rtol=FLOAT32_MODEL, atol=FLOAT32_MODEL)


def test_how_much_the_pairs_are_cut_does_not_matter() -> None:
    policies = []
    for budget in (1, 100_000):
        policy = tiny_policy()
        run(stage(toy_problems(), dataclasses.replace(ALL, tokens_per_microbatch=budget), steps=3), policy)
        policies.append(weights(policy))
    for name, value in policies[0].items():
        torch.testing.assert_close(policies[1][name], value, rtol=FLOAT32_MODEL, atol=FLOAT32_MODEL)


def answer_pairs(count: int, seed: int) -> tuple[Example, ...]:
    """Answers of any length; what is preferred contains more of the letter a."""
    numbers = random.Random(seed)

    def letters(wanted: str) -> str:
        others = numbers.choices("bcdef123", k=numbers.randint(2, 8))
        others.insert(numbers.randint(0, len(others)), wanted)
        return "".join(others)

    return tuple(
        Example(f"pair-{n}", f"{n % 10}=", "a", (Demonstration((letters("a"),)),), {"rejected": letters("b")})
        for n in range(count)
    )


@cache
def trained() -> ModelScore:
    """A reward model of pairs that prefer the letter a."""
    problems = dataclasses.replace(toy_problems(), examples=answer_pairs(200, seed=0))
    session = start(stage(problems, Ranking(prompts_per_step=16, learning_rate=3e-3), steps=80), tiny_policy(), 0)
    continue_run(session)
    return ModelScore(session.policy)


def test_it_ranks_pairs_that_it_has_not_seen() -> None:
    unseen = [Pair(e.prompt, e.demonstrations[0].text, str(e.facts["rejected"])) for e in answer_pairs(100, seed=1)]
    assert ranked_right(unseen, trained().score) >= 0.95


def test_the_best_of_n_is_what_it_prefers() -> None:
    made = pool("3=", ("b1c", "ca2", "dd", "ef3"), trained().score)
    assert made.best(4, 1, torch.Generator().manual_seed(0)) == ("ca2",)
    assert made.expected_score(4) > made.expected_score(1)


def test_reinforcement_trains_with_it_as_reward() -> None:
    judge, policy = trained(), tiny_policy()
    before, kept = weights(policy), weights(judge.model)
    records = run_recipe(
        rft.recipe(dataclasses.replace(toy_problems(), reward=judge), steps=2, reinforcement=SMALL), policy
    )
    for record in records:
        for rollout in record.collection.rollouts:
            assert rollout.reward == pytest.approx(
                judge.score(rollout.example.prompt, rollout.response), rel=FLOAT32_MODEL, abs=FLOAT32_MODEL
            )
    assert any(not torch.equal(value, before[name]) for name, value in weights(policy).items())
    assert all(torch.equal(value, kept[name]) for name, value in weights(judge.model).items())
