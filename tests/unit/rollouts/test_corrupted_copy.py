"""Texts after a corrupted copy of themselves."""

import dataclasses
import math

import pytest
import torch

from fixtures.folders import bpe_tokenizer
from fixtures.toy import toy_example, toy_examples
from fixtures.training import recitation
from posttrain.errors import UserError
from posttrain.rollouts.corrupted_copy import CorruptedCopy
from posttrain.rollouts.corruption import FixedRate, LinearRate, Masked, OneMasked, Replaced, UniformRate
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Origin, Progress, Rollout
from tolerances import ROUNDING, STANDARD_ERRORS

NOW = Progress(3, 10, seed=0)


def write(source, text: Text, now: Progress = NOW, examples=toy_examples(9)) -> list[Rollout]:
    groups = source(examples, recitation(text), text, Sampling(), now)
    return [rollout for group in groups for rollout in group]


def masking(rate, **changes) -> CorruptedCopy:
    return CorruptedCopy(Masked(rate, mask="."), **{"introduction": "= ", "instruction": "\n=", **changes})


def prompt_of(rollout: Rollout, text: Text) -> str:
    return text.verbatim(rollout.tokens[rollout.origin == int(Origin.PROMPT)])


def test_prompt_introduction_copy_instruction_and_then_the_text(text: Text) -> None:
    example = toy_example(1)
    (rollout,) = write(masking(FixedRate(0.0)), text, examples=[example])
    solution = example.demonstrations[0].text
    assert prompt_of(rollout, text) == f"{example.prompt}= {solution}\n="
    assert rollout.tokens[rollout.origin == int(Origin.GIVEN)].tolist() == [*text.encode(solution).tolist(), text.end]
    assert rollout.response == solution
    assert (rollout.ended, rollout.labels) == ("given", {"hint_fraction": 1.0, "corrupted_fraction": 0.0})


@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
def test_only_the_copy_is_masked(text: Text, rate: float) -> None:
    plain = write(Demonstrations(), text)
    for rollout, other in zip(write(masking(FixedRate(rate)), text), plain, strict=True):
        solution = other.response
        shown = prompt_of(rollout, text)
        before, after = f"{other.example.prompt}= ", "\n="
        assert shown.startswith(before)
        assert shown.endswith(after)
        copy = shown.removeprefix(before).removesuffix(after)
        assert len(copy) == len(solution)
        assert all(c in (".", s) for c, s in zip(copy, solution))
        assert rollout.response == solution
        changed = sum(c != s for c, s in zip(copy, solution))
        assert rollout.labels["corrupted_fraction"] == pytest.approx(changed / len(solution), abs=ROUNDING)


def test_a_record_of_the_rollout_shows_what_the_model_read(text: Text) -> None:
    for rollout, example in zip(write(masking(FixedRate(0.5)), text), toy_examples(9), strict=True):
        assert rollout.example.prompt == prompt_of(rollout, text)
        assert dataclasses.replace(rollout.example, prompt=example.prompt).__dict__ == example.__dict__


def test_masks_are_drawn_for_every_token_apart(text: Text) -> None:
    long = dataclasses.replace(toy_example(1), demonstrations=(Demonstration(("a" * 2000,)),))
    (rollout,) = write(masking(FixedRate(0.3)), text, examples=[long])
    masked = torch.tensor([c == "." for c in prompt_of(rollout, text).removeprefix(f"{long.prompt}= ")[:2000]]).double()
    assert abs(float(masked.mean()) - 0.3) < STANDARD_ERRORS * math.sqrt(0.3 * 0.7 / 2000)
    assert abs(float((masked[1:] * masked[:-1]).mean()) - 0.09) < STANDARD_ERRORS * math.sqrt(0.09 * 0.91 / 1000)


def test_all_texts_of_a_step_have_one_rate_and_every_step_its_own(text: Text) -> None:
    examples = [dataclasses.replace(e, demonstrations=(Demonstration(("a" * 2000,)),)) for e in toy_examples(4)]
    seen = []
    for step in range(6):
        now = Progress(step, 10, seed=0)
        rate = UniformRate()(now, now.generator("mask rate"))
        assert 0.05 <= rate <= 0.95
        error = STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / 2000)
        for rollout in write(masking(UniformRate()), text, now, examples):
            assert abs(rollout.labels["corrupted_fraction"] - rate) < error
        seen.append(rate)
    assert len(set(seen)) == 6


def test_a_schedule_moves_in_every_step() -> None:
    rates = [LinearRate(0.1, 0.9)(Progress(step, 4, 0), torch.Generator()) for step in range(5)]
    assert rates == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=ROUNDING)
    assert LinearRate()(Progress(0, 0, 0), torch.Generator()) == 0.05


def test_random_replacement_replaces_everything_by_anything_but_the_end(text: Text) -> None:
    long = dataclasses.replace(toy_example(1), demonstrations=(Demonstration(("a" * 4000,)),))
    (rollout,) = write(CorruptedCopy(Replaced(), instruction=""), text, examples=[long])
    copy = rollout.tokens[len(long.prompt) :][:4000]
    counts = torch.bincount(copy, minlength=text.vocabulary_size)
    assert int(counts[text.end]) == 0
    others = counts[torch.arange(len(counts)) != text.end].double() / 4000
    chance = 1 / (text.vocabulary_size - 1)
    assert float((others - chance).abs().max()) < STANDARD_ERRORS * math.sqrt(chance * (1 - chance) / 4000)


def test_both_copies_are_the_same_tokens_where_words_could_be_cut_otherwise() -> None:
    text = Text(bpe_tokenizer())
    examples = toy_examples(9)
    for example, rollout in zip(examples, write(CorruptedCopy(Masked(FixedRate(0.5))), text, examples=examples)):
        prompt, target = text.encode(example.prompt), text.encode(example.demonstrations[0].text)
        copy = rollout.tokens[len(prompt) : len(prompt) + len(target)]
        mask = text.token("^")
        assert torch.equal(copy, torch.where(copy == mask, mask, target))
        assert rollout.tokens[rollout.origin == int(Origin.GIVEN)].tolist() == [*target.tolist(), text.end]


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_plain_texts_stand_without_a_copy(text: Text, probability: float) -> None:
    plain = write(Demonstrations(), text)
    same = [
        torch.equal(a.tokens, b.tokens)
        for a, b in zip(write(masking(FixedRate(0.5), plain=probability), text), plain, strict=True)
    ]
    assert set(same) == {probability == 1.0}


def test_some_texts_are_plain_where_that_is_likely(text: Text) -> None:
    rollouts = [r for s in range(8) for r in write(masking(FixedRate(0.5), plain=0.5), text, Progress(s, 8, 0))]
    plain = sum("corrupted_fraction" not in r.labels for r in rollouts)
    assert abs(plain / 72 - 0.5) < STANDARD_ERRORS * math.sqrt(0.25 / 72)


@pytest.mark.parametrize("first", [0, 1])
def test_one_token_is_masked_and_each_of_those_that_may_be(text: Text, first: int) -> None:
    example, places = toy_example(1), set[int]()
    solution = example.demonstrations[0].text
    source = CorruptedCopy(OneMasked(first, mask="f"), instruction="\n=")
    for step in range(200):
        (rollout,) = write(source, text, Progress(step, 200, seed=0), examples=[example])
        copy = prompt_of(rollout, text).removeprefix(example.prompt).removesuffix("\n=")
        (place,) = (at for at, (shown, meant) in enumerate(zip(copy, solution, strict=True)) if shown != meant)
        places.add(place)
        assert copy[place] == "f"
    assert places == set(range(first, len(solution)))


def test_a_text_without_a_token_that_may_be_masked_stays_as_it_is(text: Text) -> None:
    tokens = text.encode("12")
    assert torch.equal(OneMasked(2, mask=".")(tokens, text, NOW, NOW.generator("copy")), tokens)
    with pytest.raises(ValueError, match="counted from 0"):
        OneMasked(-1)


def test_every_demonstration_has_its_own_copy(text: Text) -> None:
    two = (Demonstration(("a" * 40,)), Demonstration(("a" * 40,)))
    first, second = write(
        masking(FixedRate(0.5)), text, examples=[dataclasses.replace(toy_example(1), demonstrations=two)]
    )
    assert first.example.prompt != second.example.prompt


@pytest.mark.parametrize(
    ("mask", "message"), [("^", "cannot represent"), ("ab", "2 tokens"), ("", "0 tokens"), ("<eos>", "end-of-sequence")]
)
def test_a_mask_that_is_no_token_is_refused_in_a_sentence(text: Text, mask: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(CorruptedCopy(Masked(mask=mask), instruction="="), text)


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        (UniformRate, {"low": -0.1}),
        (UniformRate, {"high": 1.1}),
        (FixedRate, {"rate": 2.0}),
        (LinearRate, {"start": -1.0}),
        (CorruptedCopy, {"plain": 1.5}),
    ],
)
def test_what_is_no_probability_is_refused(part: type, settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        part(**settings)
