"""What one step collects: the draw, the verdicts, the advantages."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.models import tiny_policy
from fixtures.toy import each, toy_examples, toy_verify
from fixtures.training import recitation
from posttrain.annotate import annotate
from posttrain.batching import PerToken
from posttrain.collect import collect, draw
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.data.spool import Spool
from posttrain.errors import UserError
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.protocols import Term
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Stage, Stream
from posttrain.text import Text
from posttrain.types import Example, Origin, Progress, Verdict

EXAMPLES = toy_examples(7)
NOW = Progress(0, 10, seed=0, scope=("stage",))


def stream(verify=toy_verify, **changes) -> Stream:
    settings = {"prompts_per_step": 3, "reward": each(verify), "credit": Centred()}
    return Stream("answers", EXAMPLES, OnPolicy(2), **{**settings, **changes})


def stage(*streams: Stream) -> Stage:
    term = Term("x", CrossEntropy(), frozenset({Origin.GIVEN, Origin.SAMPLED}), PerToken())
    return Stage("stage", streams, (term,), steps=10, learning_rate=0.0)


def drawn(prompts_per_step: int, steps: range, seed: int = 0) -> list[str]:
    source = stream(prompts_per_step=prompts_per_step)
    now = dataclasses.replace(NOW, seed=seed)
    return [e.id for step in steps for e in draw(source, dataclasses.replace(now, step=step))]


@given(prompts_per_step=st.integers(1, 20), epochs=st.integers(1, 4))
def test_every_epoch_has_every_example_once(prompts_per_step: int, epochs: int) -> None:
    order = drawn(prompts_per_step, range(epochs * 7))[: epochs * 7]
    for epoch in range(epochs):
        assert sorted(order[epoch * 7 : epoch * 7 + 7]) == sorted(e.id for e in EXAMPLES)


@pytest.mark.parametrize("kept", [tuple, Spool])
@pytest.mark.parametrize("prompts_per_step", [1, 3, 7, 16])
def test_an_epoch_is_one_permutation_of_torch(kept, prompts_per_step: int) -> None:
    now = NOW.within("answers")
    whole = [
        e.id
        for step in range(4)
        for e in draw(
            dataclasses.replace(stream(prompts_per_step=prompts_per_step), examples=kept(EXAMPLES)),
            dataclasses.replace(now, step=step),
        )
    ]
    wanted = [
        EXAMPLES[at].id
        for epoch in range(10)
        for at in torch.randperm(7, generator=dataclasses.replace(now, step=epoch).generator("epoch", 7)).tolist()
    ]
    assert whole == wanted[: len(whole)]


def test_epochs_and_seeds_have_their_own_order() -> None:
    order = drawn(7, range(2))
    assert order[:7] != order[7:]
    assert order != drawn(7, range(2), seed=1)


@given(prompts_per_step=st.integers(1, 9), start=st.integers(0, 9))
def test_a_step_draws_the_same_wherever_the_run_began(prompts_per_step: int, start: int) -> None:
    whole = drawn(prompts_per_step, range(10))
    assert drawn(prompts_per_step, range(start, 10)) == whole[start * prompts_per_step :]


def test_two_streams_draw_in_their_own_order() -> None:
    orders = [[e.id for e in draw(stream(prompts_per_step=7), NOW.within(name))] for name in "ab"]
    assert orders[0] != orders[1]


def test_advantages_are_the_groups_credit_on_every_token(text: Text) -> None:
    made = stage(stream())
    collection = collect(made, recitation(text, "abcdef"[:4] + "0"), text, NOW)
    by_group: dict[object, list] = {}
    for s in annotate(collection.sequences, tiny_policy(), {}, made):
        by_group.setdefault(s.group, []).append(s)
    assert len(by_group) == 3
    for members in by_group.values():
        rewards = torch.tensor([s.rollout.verdict.score for s in members], dtype=torch.float64)
        for s, advantage in zip(members, Centred().relative(rewards)):
            assert s.signals["advantages"].tolist() == [float(advantage)] * len(s.tokens)
            assert torch.equal(s.tokens, s.rollout.tokens)


def test_the_reward_sees_hint_and_continuation_and_not_the_prompt(text: Text) -> None:
    seen: list[str] = []

    def remember(response: str, example: Example) -> Verdict:
        seen.append(response)
        return Verdict(1.0, "", True)

    collect(stage(stream(remember)), recitation(text, "a1 .b"), text, NOW)
    assert seen == ["a1 .b", "a1 ."] * 3


def undecided(response: str, example: Example) -> Verdict:
    """Cannot judge the shorter answer of one example."""
    failed = example.id == "toy-2" and response == "a1 ."
    return Verdict(None, "timed out", False) if failed else toy_verify(response, example)


def test_an_unscorable_answer_drops_its_group_and_is_counted(text: Text) -> None:
    everything = stream(undecided, prompts_per_step=7)
    collection = collect(stage(everything), recitation(text), text, NOW)
    assert (collection.unscorable, collection.groups_dropped) == (1, 1)
    assert len(collection.rollouts) == 14
    assert {s.rollout.example.id for s in collection.sequences} == {e.id for e in EXAMPLES} - {"toy-2"}
    assert len(collection.sequences) == 12


def test_an_exception_of_the_verifier_stops_the_run(text: Text) -> None:
    def broken(response: str, example: Example) -> Verdict:
        raise ZeroDivisionError(example.id)

    with pytest.raises(ZeroDivisionError, match="toy-"):
        collect(stage(stream(broken)), recitation(text), text, NOW)


def test_a_reward_with_too_few_verdicts_is_loud(text: Text) -> None:
    with pytest.raises(ValueError, match="shorter"):
        collect(stage(stream(reward=lambda group: (Verdict(1.0, "", True),))), recitation(text), text, NOW)


@pytest.mark.parametrize("credit", [Standardised(), Centred(), LeaveOneOut()])
def test_a_group_of_one_cannot_be_compared(text: Text, credit) -> None:
    alone = Stream("answers", EXAMPLES, OnPolicy(1), 3, each(toy_verify), credit)
    with pytest.raises(UserError, match="rollouts_per_prompt"):
        collect(stage(alone), recitation(text), text, NOW)


def test_an_example_drawn_twice_makes_two_groups(text: Text) -> None:
    collection = collect(stage(stream(prompts_per_step=14)), recitation(text), text, NOW)
    groups = [s.group for s in collection.sequences]
    assert len(set(groups)) == 14
    assert all(groups.count(group) == 2 for group in groups)


def test_supervised_streams_are_neither_judged_nor_given_credit(text: Text) -> None:
    solutions = Stream("solutions", EXAMPLES, Demonstrations(), 7)
    made = stage(solutions, stream())
    collection = collect(made, recitation(text), text, NOW)
    annotated = annotate(collection.sequences, tiny_policy(), {}, made)
    kinds = {s.stream: (s.rollout.verdict is None, "advantages" in s.signals) for s in annotated}
    assert kinds == {"solutions": (True, False), "answers": (False, True)}


def test_numbers_of_sequences_are_unique_and_the_steps_own(text: Text) -> None:
    first, again, later = (
        [s.uid for s in collect(stage(stream(prompts_per_step=14)), recitation(text), text, now).sequences]
        for now in (NOW, NOW, dataclasses.replace(NOW, step=1))
    )
    assert first == again
    assert len({*first, *later}) == 2 * len(first)
