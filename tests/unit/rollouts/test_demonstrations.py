"""Demonstrations as training text."""

import dataclasses

import pytest
import torch

from fixtures.toy import toy_example, toy_examples
from fixtures.training import recitation
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Origin, Progress

NOW = Progress(0, 10, seed=0)


def write(examples, text: Text):
    return Demonstrations()(examples, recitation(text), text, Sampling(), NOW)


def test_prompt_then_demonstration_then_the_end(text: Text) -> None:
    example = toy_example(1)
    (((rollout,)),) = write([example], text)
    prompt, solution = text.encode(example.prompt), text.encode(example.demonstrations[0].text)
    assert rollout.tokens.tolist() == [*prompt.tolist(), *solution.tolist(), text.end]
    assert rollout.origin.tolist() == [Origin.PROMPT] * len(prompt) + [Origin.GIVEN] * (len(solution) + 1)
    assert rollout.response == example.demonstrations[0].text
    assert (rollout.ended, rollout.temperature) == ("given", 1.0)
    assert bool(rollout.behaviour_logprobs.isnan().all())


def test_every_demonstration_of_an_example_is_in_its_group(text: Text) -> None:
    example = dataclasses.replace(toy_example(1), demonstrations=(Demonstration(("a",)), Demonstration(("b",), "c")))
    (group,) = write([example], text)
    assert [r.response for r in group] == ["a", "bc"]


@pytest.mark.parametrize(("most", "responses"), [(1, ["a"]), (2, ["a", "bc"]), (5, ["a", "bc"])])
def test_at_most_so_many_and_the_first_ones(text: Text, most: int, responses: list[str]) -> None:
    example = dataclasses.replace(toy_example(1), demonstrations=(Demonstration(("a",)), Demonstration(("b",), "c")))
    (group,) = Demonstrations(most)([example], recitation(text), text, Sampling(), NOW)
    assert [r.response for r in group] == responses


def test_a_group_per_example_in_order(text: Text) -> None:
    examples = toy_examples(4)
    assert [group[0].example.id for group in write(examples, text)] == [e.id for e in examples]


def test_the_seed_does_not_matter(text: Text) -> None:
    first = write(toy_examples(3), text)
    again = Demonstrations()(toy_examples(3), recitation(text), text, Sampling(), Progress(5, 10, seed=3))
    assert all(torch.equal(a.tokens, b.tokens) for g, h in zip(first, again) for a, b in zip(g, h))
