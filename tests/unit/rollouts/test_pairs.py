"""Pairs of answers as training text."""

import dataclasses

import pytest

from fixtures.toy import toy_example, toy_examples
from fixtures.training import recitation
from posttrain.errors import UserError
from posttrain.rollouts.pairs import Pairs, need_pairs
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Origin, Progress

NOW = Progress(0, 10, seed=0)


def write(examples, text: Text):
    return Pairs()(examples, recitation(text), text, Sampling(), NOW)


def test_the_preferred_answer_then_the_rejected_one_both_to_the_end(text: Text) -> None:
    example = toy_example(1)
    ((preferred, rejected),) = write([example], text)
    prompt = text.encode(example.prompt).tolist()
    for rollout, words in ((preferred, example.demonstrations[0].text), (rejected, example.facts["rejected"])):
        written = text.encode(words).tolist()
        assert rollout.tokens.tolist() == [*prompt, *written, text.end]
        assert rollout.origin.tolist() == [Origin.PROMPT] * len(prompt) + [Origin.GIVEN] * (len(written) + 1)
        assert (rollout.response, rollout.ended, rollout.temperature) == (words, "given", 1.0)
        assert rollout.group == preferred.group


def test_every_token_says_whether_its_answer_is_preferred(text: Text) -> None:
    for preferred, rejected in write(toy_examples(4), text):
        assert set(preferred.signals["preference"].tolist()) == {1.0}
        assert set(rejected.signals["preference"].tolist()) == {-1.0}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"demonstrations": ()}, "'toy-1' has no demonstration"),
        ({"facts": {}}, "'toy-1' has no rejected answer"),
        ({"facts": {"rejected": ""}}, "'toy-1' has no rejected answer"),
        ({"facts": {"rejected": Demonstration(("a",))}}, "'toy-1' has no rejected answer"),
        ({"facts": {"rejected": "b1 .b"}, "demonstrations": (Demonstration(("b1 ",), ".b"),)}, "rejects the answer"),
    ],
    ids=["preferred", "rejected", "empty", "no text", "the same"],
)
def test_an_example_that_is_no_pair_is_named(text: Text, changed, sentence: str) -> None:
    examples = [toy_example(0), dataclasses.replace(toy_example(1), **changed)]
    with pytest.raises(UserError, match=sentence):
        need_pairs(examples)
    with pytest.raises(UserError, match=sentence):
        write(examples, text)
