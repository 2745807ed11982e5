"""What everything that curates between stages promises, and the rules that it follows."""

import dataclasses
import json

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.parts import choices, curations, judges
from fixtures.toy import toy_examples, toy_verify
from fixtures.walking import Case
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.runs.folder import plain
from posttrain.runs.made_examples import as_text, from_text
from posttrain.types import Example, Progress

CURATIONS = pytest.mark.parametrize("case", curations(), ids=lambda case: case.part.__name__)
CHOICES = pytest.mark.parametrize("case", choices(), ids=str)
JUDGES = pytest.mark.parametrize("case", judges(), ids=lambda case: case.part.__name__)
OTHERS = toy_examples(2)
FITS = {0: -2.0, 2: -1.0, 3: -2.0, 7: -0.5}
NOW = Progress(0, 0, 0, ("curation",))


def workspace(policy: Policy) -> Workspace:
    """With something in it already, and an engine that has loaded nothing yet."""
    return Workspace(policy, HuggingFaceEngine(), seed=3).with_examples("others", OTHERS)


def made(case: Case) -> tuple[Example, ...]:
    part = case.construct()
    return part.run(workspace(tiny_policy())).examples[part.name]


def values(examples: tuple[Example, ...]) -> list[dict[str, object]]:
    return [dataclasses.asdict(e) for e in examples]


@CURATIONS
def test_the_policy_is_only_read(case: Case) -> None:
    policy = tiny_policy()
    before = weights(policy)
    after = case.construct().run(workspace(policy))
    assert after.policy is policy
    assert all(torch.equal(value, before[name]) for name, value in weights(policy).items())
    assert all(p.requires_grad and p.grad is None for p in policy.model.parameters())


@CURATIONS
def test_it_adds_a_data_set_under_its_name_and_keeps_the_rest(case: Case) -> None:
    part, before = case.construct(), workspace(tiny_policy())
    after = part.run(before)
    assert set(after.examples) == {"others", part.name}
    assert after.examples["others"] is OTHERS
    assert (after.seed, after.engine, after.remembered) == (before.seed, before.engine, before.remembered)


@CURATIONS
def test_what_it_makes_are_the_problems_in_their_order_with_demonstrations(case: Case) -> None:
    given = {e.id: e for e in case.construct().problems.examples}
    found = made(case)
    assert found
    assert [e.id for e in found] == [name for name in given if name in {e.id for e in found}]
    for example in found:
        assert (example.prompt, example.answer) == (given[example.id].prompt, given[example.id].answer)
        assert example.demonstrations
        assert given[example.id].facts.items() <= example.facts.items()


@CURATIONS
def test_the_same_workspace_gives_the_same_whatever_torch_draws(case: Case) -> None:
    torch.manual_seed(1)
    first = values(made(case))
    torch.manual_seed(2)
    assert values(made(case)) == first


@CURATIONS
def test_what_it_makes_survives_a_checkpoint(case: Case) -> None:
    found = made(case)
    assert values(from_text(as_text(found))) == values(found)


@CURATIONS
def test_it_says_what_it_counted(case: Case) -> None:
    part = case.construct()
    after = part.run(workspace(tiny_policy()))
    counted = after.notes[part.name]
    assert set(after.notes) == {part.name}
    assert counted["examples"] == len(after.examples[part.name])
    assert all(isinstance(value, int | float) for value in counted.values())
    json.dumps(plain(counted), allow_nan=False)


def test_names_are_unique() -> None:
    names = {case.part: case.construct().name for case in curations()}
    assert len(set(names.values())) == len(names)


@CHOICES
def test_a_choice_keeps_some_of_what_there_is(case: Case) -> None:
    kept = case.construct()(FITS, NOW.generator("x"))
    assert kept
    assert set(kept) <= set(FITS)
    assert len(set(kept)) == len(kept)
    assert len(kept) == len(FITS) or len(kept) <= case.arguments.get("count", 1)


@CHOICES
def test_a_choice_does_not_depend_on_the_order_in_which_it_is_told(case: Case) -> None:
    backwards = dict(reversed(FITS.items()))
    assert case.construct()(FITS, NOW.generator("x")) == case.construct()(backwards, NOW.generator("x"))


@CHOICES
def test_a_constant_for_all_answers_of_a_prompt_changes_no_choice(case: Case) -> None:
    moved = {place: fit - 3.0 for place, fit in FITS.items()}
    assert case.construct()(FITS, NOW.generator("x")) == case.construct()(moved, NOW.generator("x"))


@CHOICES
def test_of_a_single_answer_there_is_no_choice(case: Case) -> None:
    assert case.construct()({0: -1.0}, NOW.generator("x")) == [0]


@JUDGES
def test_a_judge_answers_every_question_in_order(case: Case) -> None:
    there = workspace(tiny_policy())
    there.engine.load(there.policy, 0)
    answers = [(e, text) for e in toy_examples(4) for text in (e.demonstrations[0].text, "1")]
    found = case.construct()(answers, toy_verify, there, NOW)
    assert len(found) == len(answers)
    assert all(isinstance(right, bool) for right in found)
    assert case.construct()(answers[::-1], toy_verify, there, NOW) == found[::-1]
    assert case.construct()([], toy_verify, there, NOW) == []


def test_the_walks_find_something() -> None:
    assert len(curations()) > 4
    assert len(choices()) > 5
    assert len(judges()) > 1
