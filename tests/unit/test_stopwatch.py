"""Phases add up for who watches, and cost nothing for who does not."""

from unittest.mock import patch

import pytest

from posttrain.stopwatch import PHASES, Stopwatch, phase, watching, worked_beside


def test_seconds_add_up_by_phase_and_are_taken_once() -> None:
    watch = Stopwatch()
    with watching(watch):
        for _ in range(2):
            with phase("decode"):
                pass
        with pytest.raises(ZeroDivisionError), phase("verify"):
            1 / 0  # noqa: B018
    taken = watch.take()
    assert tuple(taken) == PHASES
    assert {name for name, seconds in taken.items() if seconds > 0} == {"decode", "verify"}
    assert not any(watch.take().values())


def test_nobody_watches_outside_or_within_a_pause() -> None:
    watch = Stopwatch()
    with watching(watch), watching(None), phase("decode"):
        pass
    with phase("decode"):
        pass
    assert not any(watch.take().values())


def test_a_phase_within_another_stops_its_time() -> None:
    watch = Stopwatch()
    clock = patch("posttrain.stopwatch._now", iter(range(0, 100, 10)).__next__)
    with watching(watch), clock, phase("decode"), phase("annotate"):  # from 0 to 30, and within it from 10 to 20
        pass
    taken = watch.take()
    assert (taken["decode"], taken["annotate"]) == (20, 10)


def test_work_beside_is_no_phase_and_taken_once() -> None:
    watch = Stopwatch()
    with watching(watch):
        worked_beside(2.0)
        worked_beside(3.0)
    worked_beside(7.0)
    assert not any(watch.take().values())
    assert (watch.take_beside(), watch.take_beside()) == (5.0, 0.0)
