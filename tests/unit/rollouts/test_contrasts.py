"""Demonstrations beside faulty variants, marked in tokens of any tokenizer."""

import dataclasses

import pytest
import torch

from fixtures.folders import bpe_tokenizer
from fixtures.sequences import NOW, collected
from fixtures.toy import toy_example, toy_examples
from posttrain.errors import UserError
from posttrain.rollouts.contrasts import Contrasts
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.differences import contrast
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Example, Origin, Rollout


def with_variants(example: Example, *texts: str | None) -> Example:
    return dataclasses.replace(example, facts={"faulty": texts})


def group(text: Text, *examples: Example) -> list[tuple[Rollout, ...]]:
    return Contrasts()(examples, None, text, Sampling(), NOW)


def marked(rollout: Rollout, text: Text, signal: str) -> str:
    return text.decode(rollout.tokens[rollout.signals[signal] > 0])


def test_each_demonstration_is_followed_by_its_variant(text: Text) -> None:
    example = toy_example(1)
    twice = dataclasses.replace(example, demonstrations=example.demonstrations * 2)
    ((first, variant, second),) = group(text, with_variants(twice, "a1 b2 c3 .c", None))
    assert [r.response for r in (first, variant, second)] == ["a1 b2 c3 .b", "a1 b2 c3 .c", "a1 b2 c3 .b"]
    assert [[r.labels[n] for n in ("pair", "faulty", "paired")] for r in (first, variant, second)] == [
        [0.0, 0.0, 1.0],
        [0.0, 1.0, 1.0],
        [1.0, 0.0, 0.0],
    ]
    assert [marked(r, text, "fault/token") for r in (first, variant, second)] == ["b", "c", ""]


def test_lines_and_characters_are_marked_apart(text: Text) -> None:
    example = Example("x", "1=", "", (Demonstration(("a=1\nb=2\n",)),), {"faulty": ("a=1\nb=3\n",)})
    ((correct, faulty),) = group(text, example)
    assert marked(correct, text, "fault/line") == "b=2\n"
    assert marked(correct, text, "fault/token") == "2"
    assert marked(faulty, text, "fault/line") == "b=3\n"


@pytest.mark.parametrize("number", range(6))
def test_a_token_is_marked_if_any_of_its_characters_is(number: int) -> None:
    text = Text(bpe_tokenizer())
    example = toy_example(number)
    original = example.demonstrations[0].text
    variant = original.replace(original[0], "f")
    ((correct, _),) = group(text, with_variants(example, variant))
    marks, spans = contrast(original, variant).correct, text.spans(original)
    for signal, flags in (("fault/line", marks.lines), ("fault/token", marks.characters)):
        answer = correct.signals[signal][correct.origin == int(Origin.GIVEN)].tolist()
        assert answer[-1] == 0.0  # the end-of-sequence token is in neither text
        for flag, (start, end) in zip(answer[:-1], spans, strict=True):
            assert flag == float(any(flags[start:end]))
        assert sum(answer) > 0
    assert any(end - start > 1 for start, end in spans)


def test_without_variants_it_writes_what_demonstrations_are(text: Text) -> None:
    ours, plain = (collected(source, toy_examples(5), text) for source in (Contrasts(), Demonstrations()))
    for one, other in zip(ours, plain, strict=True):
        assert torch.equal(one.tokens, other.tokens)
        assert torch.equal(one.origin, other.origin)
        assert not any(bool(value.any()) for value in one.signals.values())


@pytest.mark.parametrize("facts", ["a1 .c", (), ("a", "b")], ids=str)
def test_variants_that_are_not_one_per_demonstration_are_refused(text: Text, facts: object) -> None:
    with pytest.raises(UserError, match="needs one faulty variant, or none, for each of 1"):
        group(text, dataclasses.replace(toy_example(1), facts={"faulty": facts}))
