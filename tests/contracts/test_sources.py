"""What every source of rollouts promises."""

import dataclasses
from dataclasses import dataclass

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.parts import hint_laws, sources
from fixtures.tools import byte_policy, tool_problems
from fixtures.toy import faulty_examples, toy_examples
from fixtures.walking import Case
from posttrain.arrivals import in_order
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.policy import Policy
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Example, Group, Origin, Progress, Rollout

EVERY = sources()
SOURCES = pytest.mark.parametrize("case", EVERY, ids=str)
MARKING = pytest.mark.parametrize("case", [case for case in EVERY if case.construct().provides], ids=str)
LAWS = pytest.mark.parametrize("case", hint_laws(), ids=str)
SAMPLING = Sampling(0.9, 6)
NOW = Progress(1, 10, seed=0, scope=("stage", "stream"))
RANDOM_WITHOUT_SAMPLING = ("Written", "CorruptedCopy")
"""Sources that draw what they give anew in every step; the others are random only in what they sample."""


@dataclass(frozen=True)
class Material:
    """What a source is tried on: examples with all that it reads of them, and a policy that can write them."""

    examples: tuple[Example, ...]
    policy: Policy

    @property
    def text(self) -> Text:
        return self.policy.text


def material(case: Case) -> Material:
    """Documents begin with nothing; contrasts need faulty variants, key tokens calls of tools."""
    name, policy = case.part.__name__, tiny_policy()
    if name == "Written":
        return Material(tuple(dataclasses.replace(e, prompt="") for e in toy_examples(9)), policy)
    if name == "Contrasts":
        return Material(faulty_examples(9), policy)
    if name == "KeyTokens":
        return Material(tool_problems(9).examples, byte_policy())
    return Material(toy_examples(9), policy)


def write(case: Case, now: Progress = NOW) -> list[Group]:
    given, engine = material(case), HuggingFaceEngine()
    engine.load(given.policy, version=3)
    return in_order(case.construct()(given.examples, engine, given.text, SAMPLING, now), len(given.examples))


def rollouts(groups: list[Group]) -> list[Rollout]:
    return [rollout for group in groups for rollout in group]


@SOURCES
def test_a_group_per_example_in_their_order(case: Case) -> None:
    groups = write(case)
    for example, group in zip(material(case).examples, groups, strict=True):
        assert group
        assert {r.example.id for r in group} == {example.id}
        assert len({r.group for r in group}) == 1


@SOURCES
def test_every_token_has_one_of_the_origins_and_the_prompt_stands_first(case: Case) -> None:
    text = material(case).text
    for rollout in rollouts(write(case)):
        assert rollout.tokens.shape == rollout.origin.shape == rollout.behaviour_logprobs.shape
        assert set(rollout.origin.tolist()) <= {int(o) for o in Origin}
        prompt = text.encode(rollout.example.prompt)
        assert torch.equal(rollout.tokens[: len(prompt)], prompt)
        assert torch.equal(rollout.origin == int(Origin.PROMPT), torch.arange(len(rollout.tokens)) < len(prompt))


@SOURCES
def test_the_response_is_what_follows_the_prompt(case: Case) -> None:
    text = material(case).text
    for rollout in rollouts(write(case)):
        assert rollout.response == text.decode(rollout.tokens[rollout.origin != int(Origin.PROMPT)])


@SOURCES
def test_behaviour_logprobs_are_known_exactly_where_something_was_sampled(case: Case) -> None:
    for rollout in rollouts(write(case)):
        sampled = rollout.origin == int(Origin.SAMPLED)
        assert torch.equal(~rollout.behaviour_logprobs.isnan(), sampled)
        assert bool(sampled.any()) == (rollout.ended != "given")
        assert rollout.temperature == (SAMPLING.temperature if bool(sampled.any()) else 1.0)


@SOURCES
def test_what_stopped_or_was_given_ends_with_the_end_token_and_nothing_else_has_it(case: Case) -> None:
    text = material(case).text
    for rollout in rollouts(write(case)):
        ends = (rollout.tokens == text.end).nonzero()[:, 0].tolist()
        assert ends == ([] if rollout.ended == "length" else [len(rollout.tokens) - 1])
        assert rollout.origin[-1] != int(Origin.PROMPT)


@SOURCES
def test_every_rollout_carries_the_signals_that_the_source_provides(case: Case) -> None:
    provided = case.construct().provides
    for rollout in rollouts(write(case)):
        assert provided <= set(rollout.signals)
        assert all(signal.shape == rollout.tokens.shape for signal in rollout.signals.values())


@MARKING
def test_what_it_knows_of_tokens_tells_some_of_them_apart(case: Case) -> None:
    found = rollouts(write(case))
    for name in case.construct().provides:
        assert len(torch.cat([rollout.signals[name] for rollout in found]).unique()) > 1


@SOURCES
def test_nothing_is_judged_yet(case: Case) -> None:
    assert all(rollout.verdict is None for rollout in rollouts(write(case)))


def tokens(groups: list[Group]) -> list[list[int]]:
    return [rollout.tokens.tolist() for rollout in rollouts(groups)]


@SOURCES
def test_the_same_moment_writes_the_same(case: Case) -> None:
    first, again = write(case), write(case)
    assert tokens(first) == tokens(again)
    assert [r.labels for r in rollouts(first)] == [r.labels for r in rollouts(again)]


@SOURCES
def test_torchs_own_randomness_does_not_matter(case: Case) -> None:
    torch.manual_seed(1)
    first = tokens(write(case))
    torch.manual_seed(2)
    assert first == tokens(write(case))


@SOURCES
@pytest.mark.parametrize("other", [dataclasses.replace(NOW, step=2), dataclasses.replace(NOW, seed=1), NOW.within("x")])
def test_whatever_is_random_changes_with_step_seed_and_scope(case: Case, other: Progress) -> None:
    here, there = write(case), write(case, other)
    nothing_sampled = all(rollout.ended == "given" for rollout in rollouts(here))
    fixed = nothing_sampled and case.part.__name__ not in RANDOM_WITHOUT_SAMPLING
    assert (tokens(here) == tokens(there)) == fixed


@LAWS
def test_a_hint_law_stays_between_nothing_and_everything(case: Case) -> None:
    law = case.construct()
    for parts in range(1, 8):
        for step in range(12):
            drawn = law(parts, Progress(step, 12, seed=0), NOW.generator(parts, step))
            assert isinstance(drawn, int)
            assert 0 <= drawn <= parts


@LAWS
def test_a_hint_law_repeats_with_its_generator(case: Case) -> None:
    law = case.construct()
    first, again = ([law(5, NOW, NOW.generator(k)) for k in range(20)] for _ in range(2))
    assert first == again


def test_the_walk_finds_the_plain_source() -> None:
    assert OnPolicy in [case.part for case in sources()]
