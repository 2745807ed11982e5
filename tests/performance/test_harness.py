"""Turns, failures and ratios, with contestants that only pretend."""

import sys
from pathlib import Path

import pytest

from benchmarks.contestants.serving import WARM_UP, Order
from benchmarks.contestants.work import Work
from benchmarks.harness import ContestantFailed, Program, ratios, running, spread, take_turns

WORK = Work("sft-toy", "sft", "1M", 64, 3, 2, 2)
PRETENDER = """
from pathlib import Path
from benchmarks.contestants.serving import Line

line = Line()
order = line.order()
journal = Path(order.folder) / "journal"

def measure():
    with journal.open("a") as file:
        file.write({name!r} + "\\n")
    turn = journal.read_text().split().count({name!r})
    print("noise of a library")
    if turn == {last}:
        raise RuntimeError("out of breath")
    return {{"seconds": {seconds} * turn, "processor_seconds": 0.0, "tokens_sampled": {sampled}}}

line.serve(measure, "torch")
"""


def pretender(folder: Path, name: str, seconds: float, last: int = 0, sampled: int = 0) -> tuple[Program, Order]:
    """A contestant that writes its name down at each repetition, takes longer each time, and fails at its ``last``."""
    (folder / f"{name}.py").write_text(PRETENDER.format(name=name, seconds=seconds, last=last, sampled=sampled))
    program = Program(name, Path(sys.executable), name, {"PYTHONPATH": str(folder)})
    return program, Order(WORK, str(folder), 1, {"of": name})


def test_contestants_take_turns(tmp_path):
    turns = take_turns(dict([pretender(tmp_path, "first", 1.0), pretender(tmp_path, "second", 10.0)]), 3)
    done = (tmp_path / "journal").read_text().split()
    assert done == ["first"] * WARM_UP + ["second"] * WARM_UP + ["first", "second"] * 3
    assert turns["first"].seconds == [3.0, 4.0, 5.0]
    assert turns["second"].seconds == [30.0, 40.0, 50.0]
    assert turns["second"].settings == {"of": "second"}
    assert "torch" in turns["first"].versions


@pytest.mark.parametrize("last", [1, WARM_UP + 1], ids=["warming up", "measuring"])
def test_a_failure_shows_what_the_contestant_said(tmp_path, last):
    with pytest.raises(ContestantFailed, match=r"tired ended with code 1:(.|\n)*out of breath"):
        take_turns(dict([pretender(tmp_path, "tired", 1.0, last)]), 1)


def test_other_work_than_was_asked_for_is_a_failure(tmp_path):
    with pytest.raises(ContestantFailed, match="eager sampled 7 tokens instead of 0"):
        take_turns(dict([pretender(tmp_path, "eager", 1.0, sampled=7)]), 1)


def test_a_contestant_ends_with_its_context(tmp_path):
    with running(*pretender(tmp_path, "only", 1.0)) as contestant:
        assert contestant.measure()["seconds"] == 3.0
    with pytest.raises((ContestantFailed, ValueError)):
        contestant.measure()


def test_an_order_survives_the_line():
    order = Order(WORK, "/models/x", 2, {"attention": "eager", "rows_per_pass": 8})
    assert Order.from_json(order.to_json()) == order


def test_ratios_are_taken_within_rounds():
    assert ratios([1.0, 2.0, 4.0], [3.0, 6.0, 16.0]) == {"median": 3.0, "least": 3.0, "most": 4.0}
    assert spread([5.0, 1.0, 2.0]) == {"median": 2.0, "least": 1.0, "most": 5.0}
