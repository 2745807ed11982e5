"""Hints that end at any token."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_example, toy_examples
from fixtures.training import recitation
from posttrain.arrivals import in_order
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.protocols import Engine
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.hinted_by_token import HintedByToken
from posttrain.rollouts.hints import NoHints, UniformHints
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.rollouts.windows import BetaWindow
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Group, Origin, Progress, Rollout

NOW = Progress(0, 10, seed=0)
SAMPLING = Sampling(0.8, 6)
EXAMPLES = toy_examples(14)


def live() -> HuggingFaceEngine:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=4)
    return engine


def write(source, text: Text, engine: Engine | None = None, now: Progress = NOW, examples=EXAMPLES) -> list[Group]:
    return in_order(source(examples, engine or recitation(text), text, SAMPLING, now), len(examples))


def part(rollout: Rollout, origin: Origin) -> list[int]:
    return rollout.tokens[rollout.origin == int(origin)].tolist()


def fixed(fraction: float) -> BetaWindow:
    return BetaWindow(fraction, fraction, fraction)


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.95])
def test_the_hint_is_that_many_of_the_demonstrations_own_tokens(text: Text, fraction: float) -> None:
    for example, group in zip(EXAMPLES, write(HintedByToken(2, fixed(fraction)), text, live())):
        solution, _ = text.demonstration(example.demonstrations[0])
        count = int(fraction * len(solution))
        for rollout in group:
            assert part(rollout, Origin.GIVEN) == solution[:count].tolist()
            assert part(rollout, Origin.SAMPLED)
            assert rollout.labels == {"hint_fraction": count / len(solution)}
            assert rollout.response == text.decode(part(rollout, Origin.GIVEN) + part(rollout, Origin.SAMPLED))
            assert rollout.ended != "given"


def test_it_may_end_inside_a_chunk_and_inside_the_answer(text: Text) -> None:
    example = toy_example(3, chunks=2)  # two chunks of three tokens, an answer of two
    ends = {
        len(part(group[0], Origin.GIVEN))
        for step in range(40)
        for group in write(
            HintedByToken(1, BetaWindow(end=0.0)), text, now=Progress(40, 40, seed=step), examples=[example]
        )
    }
    assert {1, 2, 4, 5, 7} <= ends
    assert max(ends) == 7


def test_a_group_shares_its_hint(text: Text) -> None:
    for group in write(HintedByToken(4, UniformHints()), text, live()):
        assert len({tuple(part(r, Origin.GIVEN)) for r in group}) == 1
        assert len({r.labels["hint_fraction"] for r in group}) == 1


def test_all_tokens_are_the_demonstration_ended_and_nothing_is_sampled(text: Text) -> None:
    whole = write(HintedByToken(2, fixed(1.0)), text)
    for group, (demonstrated,) in zip(whole, write(Demonstrations(most=1), text), strict=True):
        assert len(group) == 2
        for rollout in group:
            assert torch.equal(rollout.tokens, demonstrated.tokens)
            assert torch.equal(rollout.origin, demonstrated.origin)
            assert (rollout.ended, rollout.response) == ("given", demonstrated.response)
            assert rollout.labels == {"hint_fraction": 1.0}


def test_without_hints_it_is_plain_sampling(text: Text) -> None:
    engine = live()
    for group, plain in zip(write(HintedByToken(3, NoHints()), text, engine), write(OnPolicy(3), text, engine)):
        for rollout, other in zip(group, plain, strict=True):
            assert torch.equal(rollout.tokens, other.tokens)
            assert torch.equal(rollout.origin, other.origin)


def test_every_demonstration_is_drawn_now_and_then(text: Text) -> None:
    demonstrations = (Demonstration(("aaaa",)), Demonstration(("bbbb",)), Demonstration(("cccc",)))
    example = dataclasses.replace(toy_example(1), demonstrations=demonstrations)
    drawn = {
        text.decode(
            part(
                write(HintedByToken(1, fixed(0.5)), text, now=Progress(step, 30, 0), examples=[example])[0][0],
                Origin.GIVEN,
            )
        )
        for step in range(30)
    }
    assert drawn == {"aa", "bb", "cc"}


def test_an_empty_demonstration_hints_at_nothing(text: Text) -> None:
    example = dataclasses.replace(toy_example(1), demonstrations=(Demonstration(()),))
    ((rollout,),) = write(HintedByToken(1, fixed(1.0)), text, examples=[example])
    assert not part(rollout, Origin.GIVEN)
    assert part(rollout, Origin.SAMPLED)


def test_the_draw_belongs_to_seed_step_scope_and_example(text: Text) -> None:
    def lengths(groups: list[Group]) -> list[float]:
        return [group[0].labels["hint_fraction"] for group in groups]

    source = HintedByToken(1, UniformHints())
    first = lengths(write(source, text))
    assert first == lengths(write(source, text))
    assert first == lengths(write(source, text, examples=EXAMPLES[::-1]))[::-1]
    assert first != lengths(write(source, text, now=Progress(1, 10, seed=0)))
    assert first != lengths(write(source, text, now=Progress(0, 10, seed=1)))
    assert first != lengths(write(source, text, now=NOW.within("elsewhere")))
