"""Hinted groups: which tokens are given, and whose they are."""

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_example, toy_examples
from fixtures.training import recitation
from posttrain.arrivals import in_order
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.protocols import Engine
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import BinomialCosine, NoHints, UniformHints
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Group, Origin, Progress, Rollout

NOW = Progress(0, 10, seed=0)
SAMPLING = Sampling(0.8, 6)
EXAMPLES = toy_examples(14)
ALL = BinomialCosine(1.0, 1.0)


def live() -> HuggingFaceEngine:
    engine = HuggingFaceEngine()
    engine.load(tiny_policy(), version=4)
    return engine


def write(source, text: Text, engine: Engine | None = None, now: Progress = NOW, examples=EXAMPLES) -> list[Group]:
    return in_order(source(examples, engine or recitation(text), text, SAMPLING, now), len(examples))


def part(rollout: Rollout, origin: Origin) -> list[int]:
    return rollout.tokens[rollout.origin == int(origin)].tolist()


def test_prompt_hint_and_continuation_partition_the_tokens(text: Text) -> None:
    for example, group in zip(EXAMPLES, write(Hinted(3, UniformHints()), text, live())):
        prompt, (solution, _) = text.encode(example.prompt).tolist(), text.demonstration(example.demonstrations[0])
        for rollout in group:
            hint, written = part(rollout, Origin.GIVEN), part(rollout, Origin.SAMPLED)
            assert rollout.tokens.tolist() == [*prompt, *hint, *written]
            assert part(rollout, Origin.PROMPT) == prompt
            assert hint == solution[: len(hint)].tolist()
            assert 1 <= len(written) <= SAMPLING.max_new_tokens
            assert rollout.response == text.decode([*hint, *written])


def test_sampled_tokens_have_behaviour_logprobs_and_given_ones_do_not(text: Text) -> None:
    for group in write(Hinted(2, UniformHints()), text, live()):
        for rollout in group:
            assert torch.equal(~rollout.behaviour_logprobs.isnan(), rollout.origin == int(Origin.SAMPLED))
            assert rollout.policy_version == 4
            assert rollout.temperature == SAMPLING.temperature
            stopped = int(rollout.tokens[-1]) == text.end
            assert rollout.ended == ("stop" if stopped else "length")


def test_a_group_shares_its_hint_and_its_label(text: Text) -> None:
    groups = write(Hinted(4, UniformHints()), text, live())
    for group in groups:
        assert len({tuple(part(r, Origin.GIVEN)) for r in group}) == 1
        assert len({tuple(r.labels.items()) for r in group}) == 1
    assert len({group[0].labels["hint_fraction"] for group in groups}) > 2


def test_hints_end_where_parts_end_and_say_so(text: Text) -> None:
    for example, (rollout,) in zip(EXAMPLES, write(Hinted(1, UniformHints()), text)):
        chunks, labels = example.demonstrations[0].chunks, rollout.labels
        parts = min(5, len(chunks))
        assert labels["hint_parts"] == parts
        given = round(labels["hint_fraction"] * parts)
        chunks_given = len(chunks) if given == parts else round(given / parts * len(chunks))
        assert text.decode(part(rollout, Origin.GIVEN)) == "".join(chunks[:chunks_given])


def test_a_full_hint_never_shows_the_answer_unless_asked(text: Text) -> None:
    for example, (rollout,) in zip(EXAMPLES, write(Hinted(1, ALL), text)):
        assert text.decode(part(rollout, Origin.GIVEN)) == "".join(example.demonstrations[0].chunks)
        assert part(rollout, Origin.SAMPLED)
        assert rollout.labels["hint_fraction"] == 1.0


def test_a_full_hint_with_the_answer_is_the_demonstration_itself(text: Text) -> None:
    for example, group in zip(EXAMPLES, write(Hinted(2, ALL, hint_includes_answer=True), text)):
        for rollout in group:
            expected = [*text.encode(example.demonstrations[0].text).tolist(), text.end]
            assert part(rollout, Origin.GIVEN) == expected
            assert not part(rollout, Origin.SAMPLED)
            assert (rollout.ended, rollout.temperature) == ("given", 1.0)


def test_complete_and_partial_hints_keep_the_order_of_the_examples(text: Text) -> None:
    groups = write(Hinted(2, UniformHints(), hint_includes_answer=True), text)
    assert [group[0].example.id for group in groups] == [e.id for e in EXAMPLES]
    assert {group[0].ended == "given" for group in groups} == {True, False}
    assert all(len(group) == 2 for group in groups)


def lengths(groups: list[Group]) -> list[float]:
    return [group[0].labels["hint_fraction"] for group in groups]


def test_the_draw_belongs_to_seed_step_scope_and_example(text: Text) -> None:
    source = Hinted(1, UniformHints())
    first = lengths(write(source, text))
    assert first == lengths(write(source, text))
    assert first != lengths(write(source, text, now=Progress(1, 10, seed=0)))
    assert first != lengths(write(source, text, now=Progress(0, 10, seed=1)))
    assert first != lengths(write(source, text, now=NOW.within("elsewhere")))
    assert first == lengths(write(source, text, examples=EXAMPLES[::-1]))[::-1]


def test_examples_of_equal_length_draw_their_own_hints(text: Text) -> None:
    alike = [toy_example(number, chunks=5) for number in range(12)]
    assert len(set(lengths(write(Hinted(1, UniformHints()), text, examples=alike)))) > 2


def test_samples_repeat_with_the_seed_and_change_with_the_step(text: Text) -> None:
    source, engine = Hinted(2, NoHints()), live()
    first, again, later = (
        [r.tokens.tolist() for group in write(source, text, engine, now) for r in group]
        for now in (NOW, NOW, Progress(1, 10, seed=0))
    )
    assert first == again
    assert first != later


@pytest.mark.parametrize("law", [NoHints(), BinomialCosine(0.0, 0.0)])
def test_without_hints_it_is_plain_sampling(text: Text, law) -> None:
    engine = live()
    for group, plain in zip(write(Hinted(3, law), text, engine), write(OnPolicy(3), text, engine)):
        for rollout, other in zip(group, plain, strict=True):
            assert torch.equal(rollout.tokens, other.tokens)
            assert torch.equal(rollout.origin, other.origin)
            assert rollout.response == other.response
