"""Which answers are kept, and what becomes of those that cannot be scored."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_example, toy_pool, toy_problems
from posttrain.curation.best_fit import BestFit
from posttrain.curation.choices import Drawn, Everything, Fixed, LeastLikely, MostLikely
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.sampling import Sampling
from posttrain.stage import Problems
from posttrain.types import Demonstration, Example, Progress
from tolerances import MODEL

NUMBERS = Progress(0, 0, 0).generator("numbers")


def kept(problems: Problems, policy: Policy | None = None, seed: int = 0, **settings) -> tuple[Example, ...]:
    part = BestFit(problems, Demonstrations(), **settings)
    return part.run(Workspace(policy or tiny_policy(), HuggingFaceEngine(), seed)).examples[part.name]


def with_answers(*texts: str, number: int = 1) -> Problems:
    demonstrations = tuple(Demonstration((text,)) for text in texts)
    example = dataclasses.replace(toy_example(number), demonstrations=demonstrations)
    return dataclasses.replace(toy_problems(), examples=(example,))


def texts(examples: tuple[Example, ...]) -> list[list[str]]:
    return [[d.text for d in e.demonstrations] for e in examples]


def test_the_likeliest_comes_first_and_the_places_are_remembered() -> None:
    for before, ranked in zip(toy_pool().examples, kept(toy_pool(), choice=MostLikely(9)), strict=True):
        assert sorted(ranked.facts["places"]) == list(range(len(before.demonstrations)))
        assert [before.demonstrations[k] for k in ranked.facts["places"]] == list(ranked.demonstrations)
    best, worst = kept(toy_pool()), kept(toy_pool(), choice=LeastLikely())
    for one, other in zip(best, worst):
        assert one.facts["fit"] >= other.facts["fit"]
    assert any(one.facts["places"] != other.facts["places"] for one, other in zip(best, worst))
    assert {e.facts["places"] for e in best} != {(0,)}


def test_the_order_of_the_answers_does_not_matter() -> None:
    pool = toy_pool()
    turned = tuple(dataclasses.replace(e, demonstrations=e.demonstrations[::-1]) for e in pool.examples)
    assert texts(kept(dataclasses.replace(pool, examples=turned))) == texts(kept(pool))


def test_another_policy_chooses_otherwise() -> None:
    assert texts(kept(toy_pool(), tiny_policy(seed=1))) != texts(kept(toy_pool()))


def test_what_the_policy_would_say_itself_beats_any_other_words() -> None:
    policy = tiny_policy()
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    for number in range(4):
        prompt = policy.text.encode(toy_example(number).prompt)
        ((completion,),) = engine.generate([prompt], Sampling(0.0, 6), 1, NUMBERS)
        own = policy.text.decode(completion.tokens)
        noise = torch.randint(2, len(policy.text.tokenizer), (5, 6), generator=torch.Generator().manual_seed(number))
        pool = with_answers(*(policy.text.decode(row) for row in noise), own, number=number)
        assert texts(kept(pool, policy, end_counts=False)) == [[own]]


def test_means_and_not_sums_are_compared() -> None:
    """Of two answers the longer one is less likely as a whole, and likelier per token."""
    policy = tiny_policy()
    for number in range(40):
        pool = with_answers("a", "a1 b2 c3 .d", number=number)
        (ranked,) = kept(pool, policy, choice=MostLikely(2))
        fits = {
            d.text: kept(with_answers(d.text, number=number), policy)[0].facts["fit"] for d in ranked.demonstrations
        }
        sums = {text: fit * (len(text) + 1) for text, fit in fits.items()}
        if max(fits, key=fits.__getitem__) != max(sums, key=sums.__getitem__):
            assert ranked.demonstrations[0].text == max(fits, key=fits.__getitem__) == "a1 b2 c3 .d"
            return
    raise AssertionError("no example tells means from sums")


def test_of_equal_answers_the_first_is_taken() -> None:
    (example,) = kept(with_answers("a1", "a1"))
    assert example.facts["places"] == (0,)
    assert MostLikely(2)({0: -1.0, 1: -0.5, 2: -1.0}, NUMBERS) == [1, 0]
    assert LeastLikely(2)({0: -1.0, 1: -0.5, 2: -1.0}, NUMBERS) == [0, 2]


def test_drawing_belongs_to_the_example_and_the_seed() -> None:
    first = kept(toy_pool(), choice=Drawn())
    assert [e.facts["places"] for e in first] != [e.facts["places"] for e in kept(toy_pool(), choice=Drawn(), seed=1)]
    fewer = dataclasses.replace(toy_pool(), examples=toy_pool().examples[4:])
    assert [e.facts["places"] for e in kept(fewer, choice=Drawn())] == [e.facts["places"] for e in first[4:]]


def test_one_writers_answers() -> None:
    found = kept(toy_pool(), choice=Fixed(2))
    assert [e.id for e in found] == [e.id for e in toy_pool().examples if len(e.demonstrations) > 2]
    assert {e.facts["places"] for e in found} == {(2,)}


@pytest.mark.parametrize("choice", [MostLikely(), LeastLikely(), Drawn(), Everything()], ids=str)
def test_a_pool_of_one_answer_each_is_the_data_set_itself(choice) -> None:
    found = kept(toy_problems(), choice=choice)
    assert [(e.id, e.demonstrations) for e in found] == [(e.id, e.demonstrations) for e in toy_problems().examples]


def test_answers_beyond_the_context_are_out_of_the_choice_and_counted() -> None:
    long, short = "a1 " * 30, "b2 .c"
    pool = with_answers(long, short)
    hopeless = with_answers(long, long + "b", number=3)
    both = dataclasses.replace(pool, examples=(*pool.examples, *hopeless.examples))
    part = BestFit(both, Demonstrations())
    after = part.run(Workspace(tiny_policy(), HuggingFaceEngine(), 0))
    (example,) = after.examples[part.name]
    assert (example.id, example.facts["places"]) == ("toy-1", (1,))
    counted = after.notes[part.name]
    assert (counted["examples"], counted["examples_left_out"]) == (1, 1)
    assert (counted["candidates"], counted["candidates_scored"], counted["candidates_kept"]) == (4, 1, 1)
    assert counted["tokens_scored"] == len(example.prompt) + len(short) + 1
    with pytest.raises(UserError, match="context of 64 tokens"):
        kept(hopeless)


def test_what_is_kept_is_likelier_than_what_there_was() -> None:
    part = BestFit(toy_pool(), Demonstrations())
    counted = part.run(Workspace(tiny_policy(), HuggingFaceEngine(), 0)).notes[part.name]
    assert counted["fit_of_kept"] > counted["fit_of_scored"]
    everything = BestFit(toy_pool(), Demonstrations(), Everything())
    counted = everything.run(Workspace(tiny_policy(), HuggingFaceEngine(), 0)).notes[part.name]
    assert counted["fit_of_kept"] == pytest.approx(counted["fit_of_scored"], abs=MODEL)


def test_what_could_not_be_scored_is_refused() -> None:
    with pytest.raises(UserError, match="demonstration of example 'toy-1' is empty"):
        BestFit(with_answers("a", ""), Demonstrations())
    with pytest.raises(UserError, match="'toy-1' has no demonstration"):
        BestFit(with_answers(), Demonstrations())


@pytest.mark.parametrize("make", [lambda: MostLikely(0), lambda: LeastLikely(0), lambda: Drawn(0), lambda: Fixed(-1)])
def test_rules_that_keep_nothing_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"at least 1|counted from 0"):
        make()
