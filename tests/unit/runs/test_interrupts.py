"""Ctrl-C: once is remembered, twice is at once."""

import signal
import threading

import pytest

from posttrain.runs.interrupts import finish_the_step, started_deaf


def test_the_first_is_remembered_and_the_second_ends_it():
    before = signal.getsignal(signal.SIGINT)
    with finish_the_step() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_hears_nothing():
    heard = []

    def work():
        with finish_the_step() as asked, started_deaf():
            heard.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]


def test_processes_are_started_deaf():
    with started_deaf():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
