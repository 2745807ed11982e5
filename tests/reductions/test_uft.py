"""What unified fine-tuning becomes when one of its parts is turned off."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table, tiny_policy, weights
from fixtures.sequences import sequence, spell
from fixtures.toy import each, toy_problems
from fixtures.training import SMALL, SMALL_SUPERVISION, accumulate, gradient_of, recitation, run
from posttrain.batching import PerConstant, PerSequence, PerToken, weigh
from posttrain.durations import Steps
from posttrain.loop import StepRecord
from posttrain.methods import r3, rft, sft_rft, staged, uft
from posttrain.objectives.clipped import ClippedPolicy, SequenceRatio
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.hints import BinomialCosine, NoHints, StagedHints, UniformHints
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.text import Text
from posttrain.types import Example, Origin, Verdict
from tolerances import GRADIENT, VISIBLE

ALL = BinomialCosine(1.0, 1.0, Steps(100))
HALF = BinomialCosine(0.5, 0.5, Steps(100))
WHOLE_SET = dataclasses.replace(SMALL, prompts_per_step=8, groups_per_update=None)
ONLY_POLICY = dataclasses.replace(WHOLE_SET, kl_coefficient=0.0, entropy=0.0)


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def after(recipe: Recipe) -> tuple[dict[str, Tensor], list[StepRecord]]:
    """The weights after the recipe's last stage, and its records."""
    policy = tiny_policy()
    records = run(recipe.stages[-1], policy)
    return weights(policy), records


def bit_equal(one: Recipe, other: Recipe) -> None:
    first, second = after(one)[0], after(other)[0]
    start = weights(tiny_policy())
    assert all(torch.equal(first[name], second[name]) for name in start)
    assert not any(torch.equal(first[name], start[name]) for name in start)


@pytest.mark.parametrize(
    "hints", [NoHints(), BinomialCosine(0.0, 0.0), BinomialCosine(hinted=Steps(0)), StagedHints(Steps(0))], ids=str
)
def test_without_hints_it_is_reinforcement_bit_for_bit(hints) -> None:
    unified = uft.recipe(toy_problems(), steps=3, hints=hints, reinforcement=SMALL)
    plain = rft.recipe(toy_problems(), steps=3, reinforcement=SMALL)
    bit_equal(unified, plain)
    for record, other in zip(after(unified)[1], after(plain)[1]):
        assert record.losses == {**other.losses, "hint likelihood": 0.0}
        assert record.gradient_norm == other.gradient_norm


def test_with_hints_it_is_not_reinforcement() -> None:
    unified, plain = (
        after(m.recipe(toy_problems(), steps=3, reinforcement=SMALL))[0]["model.norm.weight"] for m in (uft, rft)
    )
    assert not torch.equal(unified, plain)


@pytest.mark.parametrize("coefficient", [0.001, 0.5])
def test_the_whole_demonstration_as_hint_is_supervision_times_its_coefficient(coefficient: float) -> None:
    problems = toy_problems()
    stage = only(
        uft.recipe(
            problems, steps=1, hints=ALL, hint_includes_answer=True, likelihood=coefficient, reinforcement=WHOLE_SET
        )
    )
    imitated = supervised.stage(problems, 1, dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8))
    expected = coefficient * gradient_of(imitated, tiny_policy())
    torch.testing.assert_close(gradient_of(stage, tiny_policy()), expected, rtol=GRADIENT, atol=GRADIENT)
    (record,) = run(stage, tiny_policy())
    assert {name: value for name, value in record.losses.items() if name != "hint likelihood"} == {
        "policy": 0.0,
        "kl": 0.0,
        "entropy": 0.0,
    }


def test_a_full_hint_without_the_answer_is_not_supervision() -> None:
    problems = toy_problems()
    stage = only(uft.recipe(problems, steps=1, hints=ALL, likelihood=1.0, reinforcement=WHOLE_SET))
    imitated = supervised.stage(problems, 1, dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8))
    difference = gradient_of(stage, tiny_policy()) - gradient_of(imitated, tiny_policy())
    assert float(difference.norm()) > VISIBLE


def test_without_likelihood_and_with_uniform_hints_it_is_r3_bit_for_bit() -> None:
    unified = uft.recipe(toy_problems(), steps=3, hints=UniformHints(), likelihood=0.0, reinforcement=SMALL)
    bit_equal(unified, r3.recipe(toy_problems(), steps=3, reinforcement=SMALL))


def test_with_staged_hints_it_is_the_staged_baseline_bit_for_bit() -> None:
    unified = uft.recipe(toy_problems(), steps=3, hints=StagedHints(), reinforcement=SMALL)
    bit_equal(unified, staged.recipe(toy_problems(), steps=3, reinforcement=SMALL))


def test_without_likelihood_only_the_source_differs_from_reinforcement() -> None:
    cosine = only(uft.recipe(toy_problems(), steps=3, likelihood=0.0, reinforcement=SMALL))
    plain = only(rft.recipe(toy_problems(), steps=3, reinforcement=SMALL))
    assert cosine.terms == plain.terms
    assert [(s.name, s.credit, s.prompts_per_step) for s in cosine.streams] == [
        (s.name, s.credit, s.prompts_per_step) for s in plain.streams
    ]
    for name in ("steps", "learning_rate", "optimiser", "sampling", "groups_per_update"):
        assert getattr(cosine, name) == getattr(plain, name)


def test_no_supervised_steps_before_it_leave_reinforcement_alone() -> None:
    two = sft_rft.recipe(
        toy_problems(), steps=3, supervised_steps=0, supervision=SMALL_SUPERVISION, reinforcement=SMALL
    )
    bit_equal(two, rft.recipe(toy_problems(), steps=3, reinforcement=SMALL))


def test_exactly_the_hinted_steps_of_a_run_have_hints() -> None:
    hints = BinomialCosine(1.0, 1.0, Steps(2))
    records = after(uft.recipe(toy_problems(), steps=4, hints=hints, reinforcement=SMALL))[1]
    fractions = [{r.labels["hint_fraction"] for r in record.collection.rollouts} for record in records]
    assert fractions == [{1.0}, {1.0}, {0.0}, {0.0}]
    assert [record.losses["hint likelihood"] > 0 for record in records] == [True, True, False, False]


def test_the_likelihood_is_on_the_hint_tokens_and_on_no_other() -> None:
    stage = only(uft.recipe(toy_problems(), steps=1, hints=HALF, reinforcement=WHOLE_SET))
    (record,) = run(stage, tiny_policy())
    seen = 0
    for s in weigh(record.collection.sequences, stage.terms, lambda number: number):
        demonstration = character_count(s.rollout.example)
        hinted = (s.weights["hint likelihood"] > 0).nonzero()[:, 0].tolist()
        prompt = len(s.rollout.example.prompt)
        assert hinted == list(range(prompt, prompt + len(hinted)))
        assert len(hinted) <= demonstration
        assert torch.equal(s.weights["policy"] > 0, torch.arange(len(s.tokens)) >= prompt + len(hinted))
        seen += len(hinted)
    assert seen > 0


def character_count(example: Example) -> int:
    """Characters of the reasoning, which are its tokens here."""
    return sum(map(len, example.demonstrations[0].chunks))


@pytest.mark.parametrize("ratio", [ClippedPolicy(), ClippedPolicy(SequenceRatio())], ids=["token", "sequence"])
def test_hint_tokens_get_no_policy_gradient(ratio: ClippedPolicy) -> None:
    tokens, pattern = [0, 1, 2, 3, 4], "pggss"
    term = Term("policy", ratio, frozenset({Origin.SAMPLED}), PerToken())
    policy = bigram_policy(random_table(5))
    accumulated = accumulate([term], [sequence(tokens, spell(pattern), advantages=1.0)], policy)
    touched = accumulated.gradient.view(5, 5).abs().sum(-1) > 0
    assert touched.tolist() == [False, False, True, True, False]  # 2 predicts the first sampled token, 3 the second


def constant(response: str, example: Example) -> Verdict:
    return Verdict(0.1, "all the same", True)


def test_equal_rewards_leave_the_hint_gradient_alone() -> None:
    problems = Problems(toy_problems().examples, constant, each(constant))
    silent, speaking = (
        gradient_of(
            only(uft.recipe(problems, steps=1, hints=HALF, likelihood=c, reinforcement=ONLY_POLICY)), tiny_policy()
        )
        for c in (0.0, 0.1)
    )
    assert not bool(silent.any())
    assert float(speaking.norm()) > VISIBLE


@pytest.mark.parametrize("share", [PerToken(), PerSequence(), PerConstant(1)], ids=str)
def test_the_likelihood_does_not_depend_on_the_number_of_rollouts(share) -> None:
    problems = Problems(toy_problems().examples, constant, each(constant))
    gradients = []
    for count in (2, 5):
        settings = dataclasses.replace(ONLY_POLICY, rollouts_per_prompt=count)
        recipe = uft.recipe(
            problems, steps=1, hints=HALF, likelihood=1.0, likelihood_share=share, reinforcement=settings
        )
        gradients.append(gradient_of(only(recipe), tiny_policy()))
    assert float(gradients[0].norm()) > VISIBLE
    torch.testing.assert_close(gradients[1], gradients[0], rtol=GRADIENT, atol=GRADIENT)


def test_the_papers_form_sums_over_hint_tokens_in_expectation_over_answers(text: Text) -> None:
    arguments = uft.paper_form(beta=0.5, reinforcement=WHOLE_SET)
    stage = only(uft.recipe(toy_problems(), steps=1, hints=ALL, **arguments))
    (record,) = run(stage, tiny_policy(), engine=recitation(text))
    policy = tiny_policy()
    total = 0.0
    for example in toy_problems().examples:
        prompt, hint = text.encode(example.prompt), text.demonstration(example.demonstrations[0])[0]
        hint = hint[: character_count(example)]
        with torch.no_grad():
            logits = policy.model(input_ids=torch.cat([prompt, hint])[None], use_cache=False).logits[0]
        predicted = torch.log_softmax(logits[len(prompt) - 1 : -1], -1)
        total -= float(predicted.gather(-1, hint[:, None]).sum())
    assert record.losses["hint likelihood"] == pytest.approx(0.5 * total / 8, rel=GRADIENT)
    assert {term.name: term.coefficient for term in stage.terms} == {"policy": 1.0, "kl": 0.5, "hint likelihood": 0.5}
