"""Threads beside the one that writes: they work at once, fail loudly, and end."""

import signal
import threading
from concurrent.futures import Future

import pytest

from posttrain.beside import Beside

SOON_S = 30.0
"""More than anything here takes; whoever waits as long has failed."""


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "beside"]


def fail(problem: BaseException) -> None:
    raise problem


def test_several_work_at_once_and_are_gone_afterwards() -> None:
    meeting = threading.Barrier(3)
    with Beside(3) as beside:
        places = [beside.begin(meeting.wait, SOON_S) for _ in range(3)]
        assert sorted(place.result() for place in places) == [0, 1, 2]
    assert beside.seconds > 0
    assert not threads()


def test_there_are_no_more_than_asked_for_and_none_without_need() -> None:
    with Beside(2) as beside:
        assert not threads()
        seen = [beside.begin(threading.current_thread).result() for _ in range(9)]
        assert len(threads()) == 2
    assert len(set(seen)) <= 2


def test_what_was_begun_is_done_at_the_end_of_the_block() -> None:
    with Beside(1) as beside:
        squares = [beside.begin(pow, k, 2) for k in range(50)]
    assert [square.result(timeout=0) for square in squares] == [k * k for k in range(50)]


def test_an_exception_is_the_futures_and_the_next_beginnings() -> None:
    with Beside(2) as beside:
        failed = beside.begin(fail, ZeroDivisionError("of all things"))
        assert isinstance(failed.exception(), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError, match="of all things"):
            beside.begin(abs, 1)
    assert not threads()


def test_after_an_exception_nothing_more_is_begun_and_what_is_under_way_ends() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []
    left: list[Future[None]] = []

    def slow() -> None:
        begun.set()
        assert go_on.wait(SOON_S)
        done.append("slow")

    def write() -> None:
        with Beside(1) as beside:
            beside.begin(slow)
            left.append(beside.begin(done.append, "left"))
            assert begun.wait(SOON_S)
            threading.Timer(0.1, go_on.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert not threads()
    assert done == ["slow"]
    assert left[0].cancelled()


def test_ctrl_c_waits_for_no_thread() -> None:
    go_on, before = threading.Event(), signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt), Beside(1) as beside:
            beside.begin(go_on.wait, SOON_S).result()
        (thread,) = threads()
        assert thread.daemon  # it would not keep the program from ending
    finally:
        signal.signal(signal.SIGALRM, before)
        go_on.set()
    thread.join(SOON_S)
    assert not threads()
