"""Where TL-Training is supervised fine-tuning, and what its weights, turns and grades change."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import weights
from fixtures.tools import byte_policy, tool_problems
from fixtures.toy import toy_problems
from fixtures.training import SMALL_ACTOR_CRITIC, SMALL_SUPERVISION, RecordingRuntime, accumulate, run, run_recipe
from posttrain.batching import PerSequence, PerToken
from posttrain.collect import collect
from posttrain.curation.tool_turns import SuccessfulTurns
from posttrain.engines.scripted import ScriptedEngine
from posttrain.errors import UserError
from posttrain.methods import ppo, sft, tl_training
from posttrain.recipe import Recipe
from posttrain.rewards.tool_calls import GradedToolCalls, Grades
from posttrain.rollouts.key_tokens import KeyTokens
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.types import Progress
from tolerances import GRADIENT, VISIBLE

STEPS = 2


def stages(problems: Problems | None = None, **settings: object) -> tuple[Stage, Stage]:
    chosen = {"supervision": SMALL_SUPERVISION, "actor_critic": SMALL_ACTOR_CRITIC, **settings}
    first, second = tl_training.recipe(problems or tool_problems(), steps=STEPS, **chosen).stages
    return first, second


def gradients(stage: Stage) -> list[Tensor]:
    runtime = RecordingRuntime()
    run(stage, byte_policy(), runtime)
    return runtime.gradients


@pytest.mark.parametrize("share", [PerToken, PerSequence])
def test_with_weights_of_one_and_turns_that_all_succeed_it_is_supervised_fine_tuning(share) -> None:
    weighted = dataclasses.replace(SMALL_SUPERVISION, share=share("weights"))
    ours = stages(keys=KeyTokens(largest=1.0), supervision=weighted)[0]
    plain = supervised.stage(tool_problems(), STEPS, dataclasses.replace(SMALL_SUPERVISION, share=share()))
    for one, other in zip(gradients(ours), gradients(plain), strict=True):
        assert float(one.norm()) > VISIBLE
        assert torch.equal(one, other)


def trained(recipe: Recipe) -> dict[str, Tensor]:
    policy = byte_policy()
    run_recipe(recipe, policy)
    return weights(policy)


def small(**settings: object) -> Recipe:
    return tl_training.recipe(
        tool_problems(), **{"supervision": SMALL_SUPERVISION, "actor_critic": SMALL_ACTOR_CRITIC, **settings}
    )


def test_without_reinforced_steps_it_is_supervised_fine_tuning_to_the_end() -> None:
    ours = trained(small(steps=0, supervised_steps=STEPS, keys=KeyTokens(largest=1.0)))
    plain = trained(sft.recipe(tool_problems(), steps=STEPS, supervision=SMALL_SUPERVISION))
    assert all(torch.equal(ours[name], plain[name]) for name in plain)
    longer = trained(small(steps=1, supervised_steps=STEPS, keys=KeyTokens(largest=1.0)))
    assert any(not torch.equal(longer[name], plain[name]) for name in plain)


def test_without_supervised_steps_it_is_ppo_on_graded_calls() -> None:
    grades = Grades(no_call=-3.0)
    ours = trained(small(steps=STEPS, supervised_steps=0, grades=grades))
    graded = dataclasses.replace(tool_problems(), reward=GradedToolCalls(grades))
    settings = {"steps": STEPS, "credit": tl_training.CREDIT, "actor_critic": SMALL_ACTOR_CRITIC}
    plain = trained(ppo.recipe(graded, **settings))
    assert all(torch.equal(ours[name], plain[name]) for name in plain)
    other = trained(ppo.recipe(dataclasses.replace(graded, reward=GradedToolCalls()), **settings))
    assert any(not torch.equal(other[name], plain[name]) for name in plain)


def test_with_other_weights_it_is_not() -> None:
    weighted = dataclasses.replace(SMALL_SUPERVISION, share=PerSequence("weights"))
    first, plain = (gradients(stages(keys=KeyTokens(m), supervision=weighted)[0])[0] for m in (9.0, 1.0))
    assert float((first - plain).norm()) > VISIBLE * float(plain.norm())


def test_a_calls_loss_is_its_weighted_mean() -> None:
    weighted = dataclasses.replace(SMALL_SUPERVISION, share=PerSequence("weights"), prompts_per_step=1)
    (first, _) = stages(supervision=weighted)
    policy = byte_policy()
    (row,) = collect(
        first, ScriptedEngine(policy.text, lambda prompt, index: ""), policy.text, Progress(0, 1, 0)
    ).sequences
    found = accumulate(first.terms, [row], byte_policy())
    with torch.no_grad():
        logits = policy.model(input_ids=row.tokens[None], use_cache=False).logits[0]
    losses = -torch.log_softmax(logits, -1)[:-1].gather(-1, row.tokens[1:, None])[:, 0]
    emphasis = row.signals["emphasis/likelihood"][1:] * (row.origin[1:] == 1)
    assert found.losses["likelihood"] == pytest.approx(float((emphasis * losses).sum() / emphasis.sum()), rel=GRADIENT)


def test_without_markers_the_failed_turns_are_imitated_too() -> None:
    problems = tool_problems(40)
    every, successful = (stages(problems, turns=SuccessfulTurns(m))[0].streams[0].examples for m in ((), ("error",)))
    assert successful == problems.examples
    assert set(successful) < set(every)


def test_single_calls_are_reinforced_by_their_grades() -> None:
    _, second = stages(grades=Grades(wrong_value=0.5))
    policy = byte_policy()
    golds = [e.answer for e in second.streams[0].examples]
    answers = iter([golds[0], "nothing", "find_room()"] * 100)
    engine = ScriptedEngine(policy.text, lambda prompt, index: next(answers))
    collection = collect(
        dataclasses.replace(second, sampling=dataclasses.replace(second.sampling, max_new_tokens=200)),
        engine,
        policy.text,
        Progress(0, 2, 0),
    )
    scores = {r.verdict.score for r in collection.rollouts}
    assert -2.0 in scores
    assert scores <= set(dataclasses.astuple(Grades(wrong_value=0.5)))
    assert second.streams[0].reward.grades.wrong_value == 0.5


def test_turns_that_call_nothing_are_imitated_but_not_reinforced() -> None:
    problems = tool_problems()
    chat = dataclasses.replace(problems.examples[0], answer="it is sunny")
    first, second = stages(dataclasses.replace(problems, examples=(chat, *problems.examples[1:])))
    assert chat in first.streams[0].examples
    assert chat not in second.streams[0].examples


def test_both_stages_train() -> None:
    small = {"supervision": SMALL_SUPERVISION, "actor_critic": SMALL_ACTOR_CRITIC}
    recipe = tl_training.recipe(tool_problems(), steps=1, **small)
    names = [record.now.scope for record in run_recipe(recipe, byte_policy())]
    assert names == [("supervised",), ("reinforced",)]


def test_problems_without_tools_or_calls_are_refused() -> None:
    with pytest.raises(UserError, match="offers no tools"):
        tl_training.recipe(toy_problems())
    problems = tool_problems()
    silent = tuple(dataclasses.replace(e, answer="nothing") for e in problems.examples)
    with pytest.raises(UserError, match="no example's answer is a call"):
        tl_training.recipe(dataclasses.replace(problems, examples=silent))


def test_the_defaults_are_those_of_the_released_code() -> None:
    first, second = tl_training.recipe(tool_problems()).stages
    assert first.terms[0].share == PerSequence("weights")
    assert (first.streams[0].prompts_per_step, first.learning_rate.then.start) == (4, 1e-6)
    assert first.optimiser.betas[1] == 0.95
    assert first.streams[0].source == KeyTokens(9.0)
    assert (second.learning_rate, second.sampling.max_new_tokens, second.streams[0].prompts_per_step) == (2e-7, 512, 8)
    assert {t.name: t.coefficient for t in second.terms} == {"policy": 1.0, "value": 1.0}
    assert second.streams[0].credit.penalty.coefficient == 0.4
