"""Where fault-aware fine-tuning is supervised fine-tuning, and by what its gradient differs."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import bigram_policy, random_table, tiny_policy
from fixtures.sequences import collected
from fixtures.toy import each, faulty_examples, toy_examples, toy_verify
from fixtures.training import SMALL_SUPERVISION, RecordingRuntime, accumulate, run
from posttrain.annotate import annotate
from posttrain.batching import PerToken
from posttrain.curation.faulty_pairs import Given
from posttrain.methods import fait
from posttrain.rollouts.contrasts import Contrasts
from posttrain.selection.faults import ClippedRatio, FaultEmphasis, Logistic, RatioOfLosses, Static
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.text import Text
from posttrain.types import Example, Origin, Progress, Verdict
from tolerances import GRADIENT, VISIBLE

STEPS = 3
STRENGTHS = pytest.mark.parametrize("strength", [RatioOfLosses(), Static(), ClippedRatio(), Logistic()], ids=str)


def exact(response: str, example: Example) -> Verdict:
    """The demonstration is the one right answer, so that every variant is faulty."""
    return Verdict(float(response == example.demonstrations[0].text), "exact", True)


def problems(examples: tuple[Example, ...]) -> Problems:
    return Problems(examples, exact, each(exact))


def fault_aware(examples: tuple[Example, ...], emphasis: FaultEmphasis, **settings: object) -> Stage:
    supervision = dataclasses.replace(SMALL_SUPERVISION, **settings)
    recipe = fait.recipe(problems(examples), steps=STEPS, pairs=Given(), emphasis=emphasis, supervision=supervision)
    (stage,) = recipe.stages
    return stage


def gradients(stage: Stage) -> list[Tensor]:
    runtime = RecordingRuntime()
    run(stage, tiny_policy(), runtime)
    return runtime.gradients


def plain(examples: tuple[Example, ...]) -> list[Tensor]:
    return gradients(supervised.stage(problems(examples), STEPS, SMALL_SUPERVISION))


@STRENGTHS
@pytest.mark.parametrize("counts", ["members", "weights"])
def test_without_emphasis_it_is_supervised_fine_tuning(strength, counts: str) -> None:
    examples = faulty_examples()
    ours = gradients(fault_aware(examples, FaultEmphasis(0.0, 0.0, strength), share=PerToken(counts)))
    assert float(ours[0].norm()) > VISIBLE
    assert all(torch.equal(a, b) for a, b in zip(ours, plain(examples), strict=True))


@STRENGTHS
def test_without_differences_it_is_supervised_fine_tuning(strength) -> None:
    """One pair has to be there, but far beyond what three steps draw."""
    examples = (*toy_examples(200), *faulty_examples()[:1])
    examples = (*examples[:-1], dataclasses.replace(examples[-1], id="the only pair"))
    stage = fault_aware(examples, FaultEmphasis(strength=strength))
    drawn = {s.rollout.example.id for record in run(stage, tiny_policy()) for s in record.collection.sequences}
    assert "the only pair" not in drawn
    assert all(torch.equal(a, b) for a, b in zip(gradients(stage), plain(examples), strict=True))


@STRENGTHS
def test_with_differences_it_is_not(strength) -> None:
    examples = faulty_examples()
    ours = gradients(fault_aware(examples, FaultEmphasis(strength=strength)))
    assert float((ours[0] - plain(examples)[0]).norm()) > VISIBLE * float(ours[0].norm())


def test_the_gradient_of_a_token_is_its_weight_times_that_of_supervised_fine_tuning(text: Text) -> None:
    stage = fault_aware(faulty_examples(4), FaultEmphasis(0.5, 2.0))
    (term,) = stage.terms
    table = random_table(len(text.tokenizer))
    rows = annotate(collected(Contrasts(), stage.streams[0].examples, text), bigram_policy(table), {}, stage)
    chosen = stage.selection.start(0)(rows, bigram_policy(table), Progress(0, 1, 0))
    assert len(rows) == 7
    assert len(chosen) == 4  # the faulty texts are never trained on
    expected = torch.zeros_like(table)
    total = sum(int((s.origin == int(Origin.GIVEN)).sum()) for s in chosen)
    for s in chosen:
        weights = s.signals.get("emphasis/likelihood", torch.ones(len(s.tokens)))
        for t in range(len(s.rollout.example.prompt), len(s.tokens)):
            before, token = int(s.tokens[t - 1]), int(s.tokens[t])
            expected[before] += float(weights[t]) / total * torch.softmax(table[before], -1)
            expected[before, token] -= float(weights[t]) / total
    found = accumulate([term], chosen, bigram_policy(table)).gradient.view_as(table)
    torch.testing.assert_close(found, expected, rtol=GRADIENT, atol=GRADIENT)
    assert any(float(s.signals["emphasis/likelihood"].max()) > 1 + VISIBLE for s in chosen[:3])


def test_no_gradient_flows_through_the_weights(text: Text) -> None:
    stage = fault_aware(faulty_examples(4), FaultEmphasis())
    rows = annotate(collected(Contrasts(), stage.streams[0].examples, text), tiny_policy(), {}, stage)
    for s in stage.selection.start(0)(rows, tiny_policy(), Progress(0, 1, 0)):
        assert not any(value.requires_grad for value in s.signals.values())


def test_examples_without_a_variant_are_trained_on_all_the_same() -> None:
    stage = fault_aware(faulty_examples(), FaultEmphasis())
    assert [e.id for e in stage.streams[0].examples] == [e.id for e in faulty_examples()]
    assert [e.facts["faulty"][0] is None for e in stage.streams[0].examples] == [n % 4 == 3 for n in range(8)]


def test_mutations_make_pairs_of_any_problems() -> None:
    recipe = fait.recipe(Problems(toy_examples(), toy_verify, each(toy_verify)), steps=STEPS)
    (stage,) = recipe.stages
    assert any(e.facts["faulty"][0] is not None for e in stage.streams[0].examples)
