"""Splits and orders of a file are those of a list in memory, and memory does not grow with the file."""

import gc
import json
import tracemalloc
from array import array
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import get_args

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.collect import draw
from posttrain.data.checkers import Checker
from posttrain.data.data_file import DataFile, Entry, drawn
from posttrain.data.reading import read_examples
from posttrain.errors import UserError
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.runs.problems import keep_fitting
from posttrain.stage import Problems, Stream
from posttrain.tasks.splits import split_of
from posttrain.types import Example, Progress, Split, Verdict

ROWS = 3000
PROMPT = "what is this? " * 70
"""About a kilobyte."""


def verify(response: str, example: Example) -> Verdict:
    return Verdict(1.0, "", True)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 6, 21, 22, 400])
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_drawn_as_the_standard_library_draws_them(size: int, seed: int) -> None:
    places = array("q", range(100, 100 + size))
    wanted = Random(f"train/{seed}").sample(places, size)
    for count in {0, size // 3, size}:
        assert list(drawn(places, count, Random(f"train/{seed}"))) == wanted[:count]
    assert list(places) == list(range(100, 100 + size))


@given(
    problems=st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1), seed=st.integers(0, 99), part=st.floats(0, 1)
)
def test_splits_and_orders_are_those_of_a_list(problems: list[str], seed: int, part: float) -> None:
    entries = [Entry(Example(f"file:{n}", f"{n}="), problem) for n, problem in enumerate(problems)]
    file = DataFile.of(Path("file.jsonl"), iter(entries), {})
    assert [e.id for e in file.all_examples] == [entry.example.id for entry in entries]
    split: Split
    for split in get_args(Split):
        rows = [entry.example.id for entry in entries if split_of(entry.problem) == split]
        assert [e.id for e in file.split(split)] == rows
        count = round(part * len(rows))
        order = Random(f"{split}/{seed}").sample(rows, len(rows))
        assert [e.id for e in file.examples(split, count, seed)] == order[:count]


def written(folder: Path, ending: str) -> Path:
    path = folder / f"rows.{ending}"
    if ending == "jsonl":
        lines = ({"prompt": f"{n}: {PROMPT}", "answer": n, "demonstration": ["a", "b"]} for n in range(ROWS))
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        rows = [
            {
                "prompt": [{"role": "user", "content": f"{n}: {PROMPT}"}],
                "hint": ["a", "b"],
                "answer": "ab",
                "reward_model": {"ground_truth": n},
                "data_source": "any",
            }
            for n in range(ROWS)
        ]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def alive() -> int:
    return sum(type(thing) is Example for thing in gc.get_objects())


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_few_examples_are_in_memory_at_any_time(tmp_path: Path, ending: str) -> None:
    path, before, most = written(tmp_path, ending), alive(), []

    def look(number: int) -> None:
        if number % 500 == 499:
            most.append(alive() - before)

    def answer(truth: object) -> int:
        look(int(str(truth)))
        return int(str(truth))

    def length(example: Example) -> int:
        look(example.answer)
        return 1 + example.answer % 100

    file = read_examples(path, Checker(verify, answer))
    rows = file.examples("train", len(file.split("train")), 0)
    kept, dropped = keep_fitting(rows, length, 99, "drop")
    assert dropped > 0
    problems = Problems(kept, verify, lambda group: ())
    problems.need_demonstrations(least_chunks=2)
    stream = Stream("demonstrations", problems.examples, Demonstrations(), 16)
    chosen = [e for step in range(3) for e in draw(stream, Progress(step, 9, 0))]
    most.append(alive() - before - len(chosen))
    assert len(most) > 8
    assert max(most) <= 3


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl")
    assert path.stat().st_size > 2_900_000
    read_examples(path, Checker(verify, int))  # so that imports are not counted
    tracemalloc.start()
    try:
        file = read_examples(path, Checker(verify, int))
        now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(file.all_examples) == ROWS
    assert now < 40 * ROWS
    assert most < 1_500_000  # the buffer of a megabyte, and little else


def lines(*rows: bytes) -> Iterator[bytes]:
    for row in rows:
        yield b'{"prompt": "' + row + b'", "answer": 1, "demonstration": "x"}'


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"])
def test_lines_end_as_they_do_everywhere(tmp_path: Path, begin: bytes, ending: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(begin + ending.join([*lines(b"one", "zwei\u2028é".encode()), b"", *lines(b"four")]))
    read = read_examples(path, Checker(verify, int)).all_examples
    assert [(e.id, e.prompt) for e in read] == [("rows:1", "one"), ("rows:2", "zwei\u2028é"), ("rows:4", "four")]


@pytest.mark.parametrize("bad", [b"\xff", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_row_that_is_no_text_is_named(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines(b"one", b"two", bad, b"four")))
    with pytest.raises(ValueError, match="utf-8"):
        path.read_text(encoding="utf-8")
    with pytest.raises(UserError, match=r"rows\.jsonl, row 3: it cannot be read as UTF-8 text \(.utf-8. codec"):
        read_examples(path, Checker(verify, int))
