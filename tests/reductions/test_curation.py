"""Where training on curated answers is plain supervised fine-tuning."""

import dataclasses
from functools import cache

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_pool, toy_problems
from fixtures.training import SMALL_SUPERVISION, run_recipe
from posttrain.curation.choices import Drawn, Everything, LeastLikely, MostLikely
from posttrain.curation.self_correct import SelfCorrect
from posttrain.curation.writing import OwnAnswer, Paraphrase
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.methods import grape, s3ft, sft
from posttrain.policy import Policy
from posttrain.recipe import Recipe, Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.sampling import Sampling
from posttrain.stage import Problems
from posttrain.types import Demonstration, Example, Verdict
from tolerances import VISIBLE

SETTINGS = {"steps": 3, "supervision": SMALL_SUPERVISION}
SHORT = {"own": OwnAnswer(max_new_tokens=8), "paraphrase": Paraphrase(max_new_tokens=8)}


def after(recipe: Recipe) -> dict[str, torch.Tensor]:
    policy = tiny_policy()
    run_recipe(recipe, policy)
    return weights(policy)


def bit_equal(one: Recipe, other: Recipe) -> None:
    first, second, begun = after(one), after(other), weights(tiny_policy())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], begun[name]) for name in first)


def different(one: Recipe, other: Recipe) -> None:
    first, second = after(one), after(other)
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("choice", [MostLikely(), LeastLikely(), Drawn(), Everything()], ids=str)
def test_with_one_answer_per_prompt_the_best_fit_is_supervision_bit_for_bit(choice) -> None:
    bit_equal(grape.recipe(toy_problems(), choice=choice, **SETTINGS), sft.recipe(toy_problems(), **SETTINGS))


def test_keeping_everything_is_supervision_on_all_answers_bit_for_bit() -> None:
    bit_equal(grape.recipe(toy_pool(), choice=Everything(), **SETTINGS), sft.recipe(toy_pool(), **SETTINGS))


def test_of_identical_answers_any_choice_is_the_same_bit_for_bit() -> None:
    pool = tuple(dataclasses.replace(e, demonstrations=e.demonstrations * 3) for e in toy_problems().examples)
    problems = dataclasses.replace(toy_problems(), examples=pool)
    bit_equal(grape.recipe(problems, **SETTINGS), grape.recipe(problems, choice=Drawn(), **SETTINGS))
    bit_equal(grape.recipe(problems, **SETTINGS), sft.recipe(toy_problems(), **SETTINGS))


def test_otherwise_the_choice_matters() -> None:
    different(grape.recipe(toy_pool(), **SETTINGS), sft.recipe(toy_pool(), **SETTINGS))
    different(grape.recipe(toy_pool(), **SETTINGS), grape.recipe(toy_pool(), choice=LeastLikely(), **SETTINGS))


def verified(score: float) -> Problems:
    """The toy problems with a verifier that gives everything this score."""

    def verify(response: str, example: Example) -> Verdict:
        return Verdict(score, "", True)

    return dataclasses.replace(toy_problems(), verify=verify)


def test_a_judge_who_refuses_everything_makes_it_supervision_bit_for_bit() -> None:
    bit_equal(s3ft.recipe(verified(0.1), **SHORT, **SETTINGS), sft.recipe(toy_problems(), **SETTINGS))


def test_without_own_words_it_is_supervision_bit_for_bit() -> None:
    nothing = {"own": None, "paraphrase": None}
    bit_equal(s3ft.recipe(verified(1.0), **nothing, **SETTINGS), sft.recipe(toy_problems(), **SETTINGS))


@cache
def learnt() -> dict[str, torch.Tensor]:
    """Weights that end their answers, because they have learnt short ones."""
    short = tuple(dataclasses.replace(e, demonstrations=(Demonstration((e.answer,)),)) for e in toy_problems().examples)
    policy = tiny_policy()
    settings = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8, learning_rate=1e-2)
    run_recipe(sft.recipe(dataclasses.replace(toy_problems(), examples=short), steps=30, supervision=settings), policy)
    return policy.model.state_dict()


def learnt_policy() -> Policy:
    policy = tiny_policy()
    policy.model.load_state_dict(learnt())
    return policy


def test_a_judge_who_accepts_everything_makes_it_self_distillation_bit_for_bit() -> None:
    engine, policy = HuggingFaceEngine(), learnt_policy()
    engine.load(policy, 0)
    prompts = [policy.text.encode(e.prompt) for e in toy_problems().examples]
    answers = engine.generate(prompts, Sampling(0.0, 8), 1, torch.Generator())
    assert all(completion.stopped for (completion,) in answers)
    own = tuple(
        dataclasses.replace(e, demonstrations=(Demonstration((policy.text.decode(completion.tokens[:-1]),)),))
        for e, (completion,) in zip(toy_problems().examples, answers)
    )
    assert [e.demonstrations for e in own] != [e.demonstrations for e in toy_problems().examples]
    distilled = sft.recipe(dataclasses.replace(toy_problems(), examples=own), **SETTINGS)
    policies = [learnt_policy(), learnt_policy()]
    for recipe, trained in zip((s3ft.recipe(verified(1.0), **SHORT, **SETTINGS), distilled), policies):
        run_recipe(recipe, trained)
    first, second = map(weights, policies)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_policys_own_words_are_likelier_to_it_than_the_gold() -> None:
    def even(response: str, example: Example) -> Verdict:
        return Verdict(float(int(example.id.removeprefix("toy-")) % 2 == 0), "", True)

    problems = dataclasses.replace(toy_problems(), verify=even)
    part = SelfCorrect(problems, Demonstrations(), own=SHORT["own"], paraphrase=None)
    counted = part.run(Workspace(learnt_policy(), HuggingFaceEngine(), 0)).notes[part.name]
    assert (counted["self"], counted["gold"]) == (4, 4)
    assert counted["fit_of_self"] > counted["fit_of_gold"] + VISIBLE
