"""The verifier's reward: verdicts in order, failures loud, unscorable kept apart."""

from collections.abc import Callable
from typing import Any

import pytest

from posttrain.errors import UserError
from posttrain.rewards.failure import VerifierError
from posttrain.rewards.verified import Verified
from posttrain.types import Example, Rollout, Verdict


def rollout(response: str) -> Rollout:
    nothing: Any = None
    return Rollout(Example("puzzle 7", "p", "gold"), nothing, nothing, nothing, response, 1.0, 0, "stop", group=0)


def scored(score: float | None) -> Callable[[str, Example], Verdict]:
    return lambda response, example: Verdict(score, "as told", valid=True)


def test_every_rollout_gets_its_verdict_in_order() -> None:
    def by_length(response: str, example: Example) -> Verdict:
        return Verdict(float(len(response)), example.id, valid=True)

    verdicts = Verified(by_length)([rollout("a"), rollout(""), rollout("abc")])
    assert [verdict.score for verdict in verdicts] == [1.0, 0.0, 3.0]
    assert verdicts[0].reason == "puzzle 7"
    assert Verified(by_length)([]) == ()


def test_a_verdict_without_score_stays_without() -> None:
    assert Verified(scored(None))([rollout("x")])[0].score is None


def test_an_exception_stops_and_shows_the_example() -> None:
    def broken(response: str, example: Example) -> Verdict:
        raise KeyError("no such thing")

    with pytest.raises(VerifierError) as caught:
        Verified(broken)([rollout("my answer")])
    assert isinstance(caught.value.__cause__, KeyError)
    for part in ("puzzle 7", "my answer", "gold", "KeyError"):
        assert part in str(caught.value)


def test_a_very_long_response_is_cut() -> None:
    with pytest.raises(VerifierError) as caught:
        Verified(scored(float("nan")))([rollout("x" * 100_000)])
    assert len(str(caught.value)) < 5_000


def test_a_persons_mistake_stays_what_it_is() -> None:
    def uninstalled(response: str, example: Example) -> Verdict:
        raise UserError("install something")

    with pytest.raises(UserError, match="install something"):
        Verified(uninstalled)([rollout("x")])


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_stops(score: float) -> None:
    with pytest.raises(VerifierError, match=f"the score is {score}"):
        Verified(scored(score))([rollout("x")])
