"""What length costs."""

import dataclasses
from collections.abc import Sequence

import pytest

from fixtures.sequences import rollout, spell
from posttrain.errors import UserError
from posttrain.rewards.length import LEVEL, Cosine, Hinge, LengthPenalised, Linear
from posttrain.types import Example, Group, Rollout, Verdict
from tolerances import ROUNDING

SHAPES = pytest.mark.parametrize("shape", [Linear(), Cosine(), Hinge(), Hinge(0.0)], ids=str)


def answer(tokens: int, level: str | None = None, given: int = 0) -> Rollout:
    """A rollout with so many sampled tokens, behind a prompt of two and so many that were given."""
    facts = {} if level is None else {LEVEL: level}
    pattern = "pp" + "g" * given + "s" * tokens
    return rollout(range(len(pattern)), spell(pattern), example=Example("puzzle 7", "p", facts=facts))


def scoring(*scores: float | None):
    def reward(group: Group) -> tuple[Verdict, ...]:
        return tuple(Verdict(score, "as told", True) for _, score in zip(group, scores, strict=True))

    return reward


def priced(reward: LengthPenalised, group: Sequence[Rollout]) -> list[float | None]:
    return [verdict.score for verdict in reward(group)]


def test_every_sampled_token_costs_its_share_of_the_longest() -> None:
    reward = LengthPenalised(scoring(1.0, 1.0, 0.0, 0.1), longest=10, strength=0.5)
    group = [answer(4), answer(10), answer(2), answer(5, given=3)]
    assert priced(reward, group) == pytest.approx([0.8, 0.5, -0.1, -0.15], abs=ROUNDING)


def test_beyond_the_longest_nothing_is_added() -> None:
    reward = LengthPenalised(scoring(1.0, 1.0), longest=3, strength=0.5)
    assert priced(reward, [answer(3), answer(9)]) == [0.5, 0.5]


def test_wrong_answers_may_be_spared() -> None:
    reward = LengthPenalised(scoring(1.0, 0.1, 0.0), longest=10, strength=0.5, penalised="correct")
    assert priced(reward, [answer(10)] * 3) == [0.5, 0.1, 0.0]


def test_what_could_not_be_judged_stays_so_and_verdicts_keep_their_reasons() -> None:
    first, second = LengthPenalised(scoring(None, 1.0), longest=10, strength=0.5)([answer(10), answer(4)])
    assert first == Verdict(None, "as told", True)
    assert dataclasses.replace(second, score=1.0) == Verdict(1.0, "as told", True)


def test_the_price_goes_by_the_examples_level() -> None:
    reward = LengthPenalised(scoring(1.0, 1.0), longest=10, strength={"short": 0.5, "long": 0.1})
    assert priced(reward, [answer(10, "short"), answer(10, "long")]) == [0.5, 0.9]


@pytest.mark.parametrize("level", [None, "middling"])
def test_an_unknown_level_is_refused(level: str | None) -> None:
    reward = LengthPenalised(scoring(1.0), longest=10, strength={"short": 0.5, "long": 0.1})
    with pytest.raises(UserError, match=r"'puzzle 7' has the length_level .* one of short, long"):
        reward([answer(3, level)])


def test_equal_strengths_make_levels_mean_nothing() -> None:
    by_level = LengthPenalised(scoring(1.0, 1.0), longest=10, strength={"short": 0.3, "long": 0.3})
    for_all = LengthPenalised(scoring(1.0, 1.0), longest=10, strength=0.3)
    group = [answer(4, "short"), answer(7, "long")]
    assert priced(by_level, group) == priced(for_all, group)


@SHAPES
def test_a_shape_rises_from_nothing_to_everything(shape) -> None:
    prices = [shape(step / 20) for step in range(21)]
    assert prices == sorted(prices)
    assert (prices[0], prices[-1]) == (0.0, 1.0)


def test_the_shapes_at_known_values() -> None:
    assert Linear()(0.25) == 0.25
    assert Cosine()(1 / 3) == pytest.approx(0.25, abs=ROUNDING)
    assert [Hinge(0.6)(x) for x in (0.3, 0.6, 0.8)] == pytest.approx([0.0, 0.0, 0.5], abs=ROUNDING)


def test_prices_that_are_none_are_refused() -> None:
    for settings, sentence in (
        ({"longest": 0, "strength": 0.5}, "at least 1 token"),
        ({"longest": 5, "strength": -0.5}, "cannot be negative"),
        ({"longest": 5, "strength": {"short": 0.5, "long": -0.1}}, "cannot be negative"),
    ):
        with pytest.raises(ValueError, match=sentence):
            LengthPenalised(scoring(), **settings)
    for target in (-0.1, 1.0):
        with pytest.raises(ValueError, match="share of the longest"):
            Hinge(target)
