"""What a wrong answer in the right form earns."""

import dataclasses

from fixtures.sequences import rollout, spell
from posttrain.rewards.outcome import AsJudged, RightOnly
from posttrain.types import Verdict

VERDICTS = (
    Verdict(1.0, "right", True),
    Verdict(0.1, "wrong value", True),
    Verdict(0.0, "no answer", False),
    Verdict(None, "timed out", False),
)


def judged(group):
    return VERDICTS


def group():
    blank = rollout([5, 3], spell("ps"))
    return tuple(dataclasses.replace(blank, response=str(k)) for k in range(len(VERDICTS)))


def test_only_full_scores_count_and_what_could_not_be_judged_stays_unknown():
    verdicts = RightOnly().of(judged)(group())
    assert [v.score for v in verdicts] == [1.0, 0.0, 0.0, None]
    assert [(v.reason, v.valid) for v in verdicts] == [(v.reason, v.valid) for v in VERDICTS]


def test_as_judged_is_the_reward_itself():
    assert AsJudged().of(judged) is judged
