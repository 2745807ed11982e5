"""What a price on length becomes when there is none, and what it says within a group."""

import dataclasses
import itertools
from collections import Counter

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.sequences import rollout, sequence, spell
from fixtures.toy import each, toy_problems
from fixtures.training import SMALL, run
from posttrain.credit.group import Centred, Standardised
from posttrain.curation.levels import OneLevel, ThreeLevels, at_level
from posttrain.errors import UserError
from posttrain.loop import StepRecord
from posttrain.methods import rft, tldr
from posttrain.recipe import Recipe
from posttrain.rewards.length import LEVEL, Hinge, LengthPenalised
from posttrain.rewards.outcome import RightOnly
from posttrain.stage import Problems, Stage
from posttrain.types import Example, Verdict

PHRASES = ("a", "b", "c")
FREE = ThreeLevels(*PHRASES, short=0.0, moderate=0.0, long=0.0)
DEAR = ThreeLevels(*PHRASES)


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def after(recipe: Recipe) -> tuple[dict[str, Tensor], list[StepRecord]]:
    policy = tiny_policy()
    records = run(only(recipe), policy)
    return weights(policy), records


def alike(one: Recipe, other: Recipe) -> bool:
    first, second, start = after(one)[0], after(other)[0], weights(tiny_policy())
    assert not any(torch.equal(first[name], start[name]) for name in start)
    return all(torch.equal(first[name], second[name]) for name in start)


def asked_three_times() -> Problems:
    problems = toy_problems()
    examples = tuple(at_level(e, name, p) for name, p in FREE.phrases().items() for e in problems.examples)
    return dataclasses.replace(problems, examples=examples)


def priced(levels: ThreeLevels | OneLevel) -> Recipe:
    return tldr.recipe(toy_problems(), steps=3, levels=levels, reinforcement=SMALL)


def test_without_a_price_it_is_reinforcement_on_the_problems_of_all_levels_bit_for_bit() -> None:
    plain = rft.recipe(asked_three_times(), steps=3, reinforcement=SMALL)
    assert alike(priced(FREE), plain)
    assert not alike(priced(DEAR), plain)


def test_one_level_without_a_price_is_reinforcement_bit_for_bit() -> None:
    plain = rft.recipe(toy_problems(), steps=3, reinforcement=SMALL)
    assert alike(priced(OneLevel(0.0)), plain)
    assert not alike(priced(OneLevel(0.5)), plain)


def right(response: str, example: Example) -> Verdict:
    return Verdict(1.0, "right", True)


def advantages(lengths: list[int], credit, strength: float = 0.5) -> list[float]:
    """Of equally correct answers of these lengths."""
    rollouts = [rollout(range(1 + n), spell("p" + "s" * n)) for n in lengths]
    verdicts = LengthPenalised(each(right), longest=10, strength=strength)(rollouts)
    rows = [
        dataclasses.replace(sequence([1, 2], spell("ps"), uid=i), rollout=dataclasses.replace(r, verdict=v, group=0))
        for i, (r, v) in enumerate(zip(rollouts, verdicts))
    ]
    return [float(signals["advantages"][-1]) for signals in credit(rows)]


@pytest.mark.parametrize("credit", [Centred(), Standardised()], ids=str)
def test_among_right_answers_the_shorter_is_better(credit) -> None:
    found = advantages([2, 3, 5, 9], credit)
    assert all(shorter > longer for shorter, longer in itertools.pairwise(found))


@pytest.mark.parametrize("credit", [Centred(), Standardised()], ids=str)
def test_answers_of_one_length_say_nothing_about_length(credit) -> None:
    assert advantages([4, 4, 4], credit) == [0.0] * 3


def test_standardised_credit_makes_the_least_difference_a_whole_advantage_where_centred_does_not() -> None:
    assert max(map(abs, advantages([4, 5], Standardised()))) > 0.7
    assert max(map(abs, advantages([4, 5], Centred()))) == pytest.approx(0.025)


def test_answers_are_compared_within_a_problem_and_level() -> None:
    recipe = tldr.recipe(toy_problems(), steps=6, levels=DEAR, reinforcement=SMALL)
    groups: dict[object, list] = {}
    drawn: Counter[str] = Counter()
    for record in after(recipe)[1]:
        for answer in record.collection.rollouts:
            groups.setdefault((record.now.step, answer.group), []).append(answer)
    for group in groups.values():
        assert len(group) == SMALL.rollouts_per_prompt
        (example,) = {answer.example for answer in group}
        phrase = DEAR.phrases()[example.facts[LEVEL]]
        assert example.prompt.endswith(f"={phrase}")
        drawn[example.facts[LEVEL]] += 1
    assert drawn == {"short": 8, "moderate": 8, "long": 8}, "an epoch asks every problem once at every level"


def test_the_score_in_training_is_the_verifiers_less_the_price() -> None:
    stage = only(tldr.recipe(toy_problems(), steps=1, levels=DEAR, shape=Hinge(0.5), reinforcement=SMALL))
    (record,) = run(stage, tiny_policy())
    problems = toy_problems()
    for answer in record.collection.rollouts:
        length = len(answer.tokens) - len(answer.example.prompt)
        price = DEAR.strengths()[answer.example.facts[LEVEL]] * Hinge(0.5)(length / SMALL.max_new_tokens)
        assert answer.reward == problems.verify(answer.response, answer.example).score - price


def test_the_defaults() -> None:
    recipe = tldr.recipe(toy_problems())
    stage = only(recipe)
    (stream,) = stage.streams
    assert stage.steps == 500
    assert stream.credit == Centred()
    assert (stream.source.rollouts_per_prompt, stream.reward.longest) == (8, 1024)
    assert stream.reward.strength == {"short": 0.5, "moderate": 0.2, "long": 0.05}
    assert {t.name: t.coefficient for t in stage.terms} == {"policy": 1.0, "kl": 0.001}
    assert len(stream.examples) == 3 * len(toy_problems().examples)


def test_the_phrase_stands_before_what_closes_every_prompt() -> None:
    example = Example("x", "what?<end>\n<assistant>", facts={"digits": 3})
    asked = at_level(example, "short", " briefly", "<end>\n<assistant>")
    assert asked.prompt == "what? briefly<end>\n<assistant>"
    assert (asked.id, asked.facts) == ("x/short", {"digits": 3, LEVEL: "short"})
    with pytest.raises(UserError, match="'x' does not end with closing='!'"):
        at_level(example, "short", " briefly", "!")


def test_levels_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="the same phrase"):
        ThreeLevels("a", "a", "c")


def test_where_right_answers_alone_count_their_price_is_taken_from_one() -> None:
    recipe = tldr.recipe(toy_problems(), levels=DEAR, reinforcement=dataclasses.replace(SMALL, reward=RightOnly()))
    (stream,) = only(recipe).streams
    example = stream.examples[0]
    blank = rollout([5, 3], spell("ps"), example=example)
    right, wrong = (dataclasses.replace(blank, response=text) for text in (example.demonstrations[0].text, "?"))
    assert stream.reward is not None
    of_right, of_wrong = (verdict.score for verdict in stream.reward((right, wrong)))
    assert of_right is not None
    assert of_wrong is not None
    assert 0 < of_right < 1
    assert of_wrong == pytest.approx(of_right - 1)
