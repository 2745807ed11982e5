"""Where pruned fine-tuning is supervised fine-tuning, and what it keeps when one of its parts is turned off."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.sequences import collected
from fixtures.toy import toy_examples, toy_problems
from fixtures.training import SMALL_SUPERVISION, RecordingRuntime, accumulate, continue_run, run
from posttrain.annotate import annotate
from posttrain.batching import PerSequence, PerToken
from posttrain.loop import start
from posttrain.methods import q_tuning, uds
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.selection.baselines import AtRandom, HighestLoss
from posttrain.selection.candidates import Quota
from posttrain.selection.quadrants import Quadrants
from posttrain.selection.utility_diversity import UtilityDiversity
from posttrain.stage import Stage
from posttrain.stages import supervised
from posttrain.stages.supervised import Supervision
from posttrain.text import Text
from posttrain.types import Progress, TrainingSequence
from tolerances import GRADIENT, VISIBLE

STEPS = 3
EIGHT = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)


def only(recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def trained(stage: Stage) -> tuple[list[Tensor], list[dict[str, float]]]:
    """The gradient of every update and the losses of every step."""
    runtime = RecordingRuntime()
    records = run(stage, tiny_policy(), runtime)
    return runtime.gradients, [record.losses for record in records]


def same(one: Stage, other: Stage) -> None:
    (gradients, losses), (others, other_losses) = trained(one), trained(other)
    assert float(gradients[0].norm()) > VISIBLE
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    assert losses == other_losses


def imitating(supervision: Supervision = EIGHT) -> Stage:
    return supervised.stage(toy_problems(20), STEPS, supervision)


@pytest.mark.parametrize(
    "selection",
    [UtilityDiversity(Quota(1.0, 4)), AtRandom(Quota(1.0, 4)), HighestLoss(Quota(1.0, 3))],
    ids=lambda s: type(s).__name__,
)
def test_keeping_every_candidate_is_supervised_fine_tuning(selection) -> None:
    same(only(uds.recipe(toy_problems(20), steps=STEPS, selection=selection, supervision=EIGHT)), imitating())


def test_choosing_some_is_not() -> None:
    stage = only(uds.recipe(toy_problems(20), steps=STEPS, supervision=EIGHT))
    (first, *_), (plain, *_) = trained(stage)[0], trained(imitating())[0]
    assert float((first - plain).norm()) > VISIBLE


def test_every_baseline_has_the_same_budget() -> None:
    quota = Quota(0.25, 4)
    for selection in (
        UtilityDiversity(quota),
        UtilityDiversity(quota, diversity=0.0),
        AtRandom(quota),
        HighestLoss(quota),
    ):
        stage = only(uds.recipe(toy_problems(20), steps=STEPS, selection=selection, supervision=EIGHT))
        rows = collected(Demonstrations(), toy_examples(8), Text(tiny_policy().text.tokenizer))
        known = annotate(rows, tiny_policy(), {}, stage)
        assert len(stage.selection.start(0)(known, tiny_policy(), Progress(0, 3, 0))) == 2


def test_of_a_selection_only_the_chosen_tokens_are_trained_and_all_are_paid_for() -> None:
    chosen, plain = (
        start(stage, tiny_policy(), seed=0)
        for stage in (only(uds.recipe(toy_problems(20), steps=STEPS, supervision=EIGHT)), imitating())
    )
    for session in (chosen, plain):
        continue_run(session)
    assert chosen.spent.updates == plain.spent.updates == STEPS
    assert chosen.spent.tokens_trained < plain.spent.tokens_trained / 2
    candidates, parameters = plain.spent.tokens_trained, chosen.policy.parameters_count
    passes = (2 * candidates + 6 * chosen.spent.tokens_trained) * parameters
    assert chosen.spent.flops == pytest.approx(passes)


@pytest.mark.parametrize("share", [PerToken, PerSequence])
@pytest.mark.parametrize("settings", [{}, {"supplemented": "by_sign"}, {"band": "cross"}], ids=str)
def test_pruning_nothing_is_supervised_fine_tuning(settings: dict[str, str], share) -> None:
    selection = Quadrants(samples=1.0, tokens=1.0, **settings)
    weighted = dataclasses.replace(EIGHT, share=share("weights"))
    pruned = only(q_tuning.recipe(toy_problems(20), steps=STEPS, selection=selection, supervision=weighted))
    same(pruned, imitating(dataclasses.replace(EIGHT, share=share())))


def pruned(text: Text, **settings: float) -> tuple[list[TrainingSequence], list[TrainingSequence]]:
    """Annotated candidates, and what is left of them."""
    stage = only(q_tuning.recipe(toy_problems(), selection=Quadrants(**settings)))
    rows = annotate(collected(Demonstrations(), toy_examples(16), text), tiny_policy(), {}, stage)
    return rows, stage.selection.start(0)(rows, tiny_policy(), Progress(0, 1, 0))


def test_with_all_tokens_only_samples_are_pruned(text: Text) -> None:
    rows, left = pruned(text, samples=0.5, tokens=1.0)
    assert len(left) == len(rows) / 2
    assert all(bool((s.signals.get("emphasis/likelihood", torch.ones(1)) == 1).all()) for s in left)


def test_with_all_samples_only_tokens_are_pruned(text: Text) -> None:
    rows, left = pruned(text, samples=1.0, tokens=0.5)
    assert [s.uid for s in left] == [s.uid for s in rows]
    shortened = [s for s in left if "emphasis/likelihood" in s.signals]
    assert 0 < len(shortened) < len(left)
    for s in shortened:
        answer = s.signals["emphasis/likelihood"][len(s.rollout.example.prompt) :]
        assert float(answer.sum()) == len(answer) // 2


def test_the_loss_of_what_is_left_is_its_mean_over_the_tokens_that_are_left(text: Text) -> None:
    (term,) = only(q_tuning.recipe(toy_problems())).terms
    _, left = pruned(text, samples=0.5, tokens=0.5)
    found = accumulate([term], left, tiny_policy())
    kept = [s.signals.get("emphasis/likelihood", torch.ones(len(s.tokens))) * (s.origin == 1) for s in left]
    total = sum(float(-(s.signals["old_logprobs"] * k).sum()) for s, k in zip(left, kept))
    assert found.losses["likelihood"] == pytest.approx(total / sum(float(k.sum()) for k in kept), rel=GRADIENT)
    assert found.passes == 1


def test_what_is_left_does_not_have_the_gradient_of_everything(text: Text) -> None:
    rows, left = pruned(text, samples=0.5, tokens=0.5)
    (term,) = only(q_tuning.recipe(toy_problems())).terms
    whole, part = (accumulate([term], some, tiny_policy()).gradient for some in (rows, left))
    assert float((whole - part).norm()) > VISIBLE
