"""Reading files: what is read, and one sentence with file, row and column for everything that is malformed."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from posttrain.data.checkers import Checker
from posttrain.data.reading import read_examples
from posttrain.errors import UserError
from posttrain.tasks.answers import right, wrong
from posttrain.tasks.countdown import CountdownProblem

GOOD_LINE = {
    "prompt": "3 4 5 : 17\n",
    "answer": {"numbers": [3, 4, 5], "target": 17},
    "task": "countdown",
    "demonstration": {"chunks": ["3*4=12\n", "12+5=17\n"], "tail": "<answer>3*4+5</answer>"},
}
GOOD_ROW = {
    "prompt": [{"role": "user", "content": "3 4 5 : 17\n"}],
    "hint": ["3*4=12\n", "12+5=17\n"],
    "answer": "3*4=12\n12+5=17\n<answer>3*4+5</answer>",
    "reward_model": {"ground_truth": {"numbers": [3, 4, 5], "target": 17}, "style": "rule"},
    "data_source": "countdown",
}
Write = Callable[..., Path]


@pytest.fixture
def lines(tmp_path: Path) -> Write:
    def write(*rows: Any) -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Write:
    def write(*rows: dict[str, Any]) -> Path:
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return path

    return write


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("fact", "facts"),
        ("fatcs", "facts"),
        ("Facts", "facts"),
        ("rejcted", "rejected"),
        ("reject", "rejected"),
        ("demonstratons", "demonstrations"),
        ("demonstration's", "demonstrations"),
    ],
)
def test_a_misspelt_key_is_refused(lines: Write, key: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"row 2, column .{key}.: there is no such key; is it '{meant}'?"):
        read_examples(lines(GOOD_LINE, {**GOOD_LINE, key: "something"}))


def test_so_is_a_misspelt_part_of_a_demonstration(lines: Write) -> None:
    with pytest.raises(UserError, match="column 'tails': there is no such key; is it 'tail'"):
        read_examples(lines({**GOOD_LINE, "demonstration": {"chunks": ["3*4=12\n"], "tails": "<answer>12</answer>"}}))


def test_other_keys_are_not_read(lines: Write) -> None:
    others = {"id": 1, "level": 2, "split": "train", "index": 0, "data_source": "x", "reward_model": {}, "ability": "y"}
    others |= {"extra_info": {}, "demonstration_id": 3, "answers": ["17"], "prompt_id": 4, "tag": "z", "hint": []}
    (plain,), (more,) = (read_examples(lines(row)).all_examples for row in (GOOD_LINE, {**GOOD_LINE, **others}))
    assert dataclasses.asdict(plain) == dataclasses.asdict(more)


def test_both_formats_give_the_same_example(lines: Write, table: Write) -> None:
    for path in (lines(GOOD_LINE), table(GOOD_ROW)):
        file = read_examples(path)
        (example,) = file.all_examples
        assert example.id == "rows:1"
        assert example.prompt == "3 4 5 : 17\n"
        assert example.answer == CountdownProblem((3, 4, 5), 17)
        assert example.demonstrations[0].chunks == ("3*4=12\n", "12+5=17\n")
        assert example.demonstrations[0].tail == "<answer>3*4+5</answer>"
        assert example.facts == {"data_source": "countdown", "row": 1}
        assert file.name == "rows"
        assert file.verify(example.demonstrations[0].text, example).score == 1.0


def test_ways_to_write_a_demonstration(lines: Write) -> None:
    listed = {**GOOD_LINE, "demonstration": ["a", "b"]}
    text = {**GOOD_LINE, "demonstration": "one\ntwo\nthree"}
    several = {**GOOD_LINE, "demonstration": None, "demonstrations": [["a"], "b", {"chunks": ["c"]}]}
    read = read_examples(lines(listed, "", text, several)).all_examples
    assert [example.id for example in read] == ["rows:1", "rows:3", "rows:4"]
    assert read[0].demonstrations[0].chunks == ("a", "b")
    assert read[1].demonstrations[0].chunks == ("one\n", "two\n", "three")
    assert [demonstration.text for demonstration in read[2].demonstrations] == ["a", "b", "c"]


def test_a_rejected_answer_is_written_as_a_demonstration_is(lines: Write) -> None:
    ways = ["one\ntwo", ["one\n", "two"], {"chunks": ["one\n"], "tail": "two"}]
    read = read_examples(lines(*({**GOOD_LINE, "rejected": way} for way in ways))).all_examples
    assert [example.facts["rejected"] for example in read] == ["one\ntwo"] * 3
    assert read[0].demonstrations[0].chunks == ("3*4=12\n", "12+5=17\n")
    (without_one,) = read_examples(lines({**GOOD_LINE, "rejected": None})).all_examples
    assert "rejected" not in without_one.facts


def test_demonstrations_may_be_optional(lines: Write, table: Write) -> None:
    bare_line = {key: value for key, value in GOOD_LINE.items() if key != "demonstration"}
    bare_row = {key: value for key, value in GOOD_ROW.items() if key not in ("hint", "answer")}
    for path in (lines(bare_line), table(bare_row), table({**GOOD_ROW, "hint": None})):
        assert read_examples(path, demonstrations="optional").all_examples[0].demonstrations == ()
        with pytest.raises(UserError, match=r"demonstration|hint"):
            read_examples(path)


def test_the_caller_may_bring_the_checker(lines: Write) -> None:
    def verify(response: str, example: Any) -> Any:
        return right() if response == example.answer else wrong("no")

    checker = Checker(verify, lambda truth: str(truth).upper())
    row = {"prompt": "p", "answer": "yes", "demonstration": ["x"]}
    file = read_examples(lines(row), checker=checker)
    assert file.verify("YES", file.all_examples[0]).score == 1.0
    assert file.verify("yes", file.all_examples[0]).score == 0.1


def test_several_tasks_in_one_file(lines: Write) -> None:
    rows = [
        GOOD_LINE,
        {"prompt": "38=", "answer": 1, "task": "chain_sums", "demonstration": {"chunks": ["3,", "1"], "tail": "#1"}},
        {"prompt": "abcdef:", "answer": "wxyzzw", "task": "key_paths", "demonstration": list("wxyzzw")},
        {"prompt": "2+2?", "answer": 4, "task": "gsm8k", "demonstration": "<answer>4.0</answer>"},
        {"prompt": "1/2?", "answer": r"\frac{1}{2}", "task": "mathematics", "demonstration": "<answer>.5</answer>"},
        {
            "prompt": "who?",
            "answer": {"names": ["A", "B"], "solution": [True, False]},
            "task": "knights_and_knaves",
            "demonstration": "<answer>B is a knave, A is a knight</answer>",
        },
    ]
    file = read_examples(lines(*rows))
    scores = [file.verify(example.demonstrations[0].text, example).score for example in file.all_examples]
    assert scores == [1.0] * 6


CALL_LINE = {
    "prompt": "user: where? call: find(city='a') output: error call: ",
    "answer": "find(city='b')",
    "task": "tool_calls",
    "demonstration": "find(city='b')",
    "facts": {"tools": {"find": ["city"]}, "row": "overwritten"},
}


def test_a_row_may_tell_more_of_its_example(lines: Write) -> None:
    file = read_examples(lines(CALL_LINE, {**GOOD_LINE, "facts": None}))
    calling, plain = file.all_examples
    assert calling.facts == {"tools": {"find": ["city"]}, "data_source": "tool_calls", "row": 1}
    assert plain.facts == {"data_source": "countdown", "row": 2}
    assert file.verify("find('b')", calling).score == 1.0
    assert file.verify("find('a')", calling).score == 0.1


def without(row: dict[str, Any], column: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != column}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{nope", r"row 2: not valid JSON"),
        ("[1]", r"row 2: an object was expected"),
        ("9" * 5000, r"row 2: not valid JSON"),
        (without(GOOD_LINE, "prompt"), r"row 2, column 'prompt': it is missing"),
        ({**without(GOOD_LINE, "prompt"), "promt": "x"}, r"is it 'promt'\?"),
        ({**GOOD_LINE, "prompt": 3}, r"row 2, column 'prompt': text was expected, got int 3"),
        ({**GOOD_LINE, "prompt": " "}, r"row 2, column 'prompt': it is empty"),
        ({**GOOD_LINE, "prompt": "\ud800"}, r"row 2, column 'prompt': .*surrogate"),
        (without(GOOD_LINE, "answer"), r"row 2, column 'answer': there is no answer"),
        ({**GOOD_LINE, "answer": {"numbers": [1]}}, r"row 2, column 'answer': the field 'target' is missing"),
        ({**GOOD_LINE, "answer": {"numbers": ["1"], "target": 5}}, r"row 2, column 'answer': numbers must be"),
        ({**GOOD_LINE, "answer": {"numbers": [1], "target": "5"}}, r"row 2, column 'answer': target must be"),
        (without(GOOD_LINE, "task"), r"row 2, column 'task': it names no task"),
        ({**GOOD_LINE, "task": "countdwon"}, r"row 2, column 'task': unknown .* did you mean 'countdown'"),
        ({**GOOD_LINE, "task": 1}, r"row 2, column 'task': text was expected"),
        (without(GOOD_LINE, "demonstration"), r"row 2, column 'demonstration': there is no demonstration"),
        ({**GOOD_LINE, "demonstration": []}, r"row 2, column 'demonstration': the list is empty"),
        ({**GOOD_LINE, "demonstration": ["a", 1]}, r"row 2, column 'demonstration': chunk 2 must be text"),
        ({**GOOD_LINE, "demonstration": ["a", ""]}, r"row 2, column 'demonstration': chunk 2 must be text"),
        ({**GOOD_LINE, "demonstration": {}}, r"row 2, column 'demonstration': a list of texts was expected"),
        ({**GOOD_LINE, "demonstration": {"chunks": ["a"], "tail": 1}}, r"row 2, column 'demonstration': the tail"),
        ({**GOOD_LINE, "rejected": 3}, r"row 2, column 'rejected': a list of texts was expected, got int 3"),
        ({**GOOD_LINE, "rejected": " "}, r"row 2, column 'rejected': it is empty"),
        ({**GOOD_LINE, "rejected": []}, r"row 2, column 'rejected': the list is empty"),
        ({**GOOD_LINE, "rejected": {"chunks": ["a"], "tail": 1}}, r"row 2, column 'rejected': the tail must be text"),
        ({**GOOD_LINE, "rejected": "\ud800"}, r"row 2, column 'rejected': .*surrogate"),
        ({**GOOD_LINE, "rejected": GOOD_LINE["demonstration"]}, r"row 2, column 'rejected': it is the demonstration"),
        ({**GOOD_LINE, "demonstrations": "x"}, r"row 2, column 'demonstrations': a list was expected"),
        ({**GOOD_LINE, "task": "chain_sums", "answer": 12}, r"row 2, column 'answer': the answer must be a digit"),
        ({**GOOD_LINE, "task": "key_paths", "answer": "abc"}, r"row 2, column 'answer': .*actions"),
        ({**GOOD_LINE, "facts": [1]}, r"row 2, column 'facts': an object was expected, got list"),
        ({**CALL_LINE, "answer": "it is sunny"}, r"row 2, column 'answer': the answer must be a call such as"),
        ({**CALL_LINE, "answer": 3}, r"row 2, column 'answer': the answer must be a call such as"),
        ({**GOOD_LINE, "task": "gsm8k", "answer": []}, r"row 2, column 'answer': the answer must be text"),
        ({**GOOD_LINE, "task": "kk_logic", "answer": {"names": ["A"], "solution": [1]}}, r"'answer': solution must be"),
        ({**GOOD_LINE, "task": "kk_logic", "answer": {"names": ["A"], "solution": []}}, r"1 names but 0 roles"),
        ({**GOOD_LINE, "task": "kk_logic", "answer": {"names": "A", "solution": []}}, r"names must be a list"),
    ],
)
def test_a_malformed_line_is_named(lines: Write, row: Any, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        read_examples(lines(GOOD_LINE, row))
    assert "rows.jsonl, row 2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({**GOOD_ROW, "hint": []}, r"row 2, column 'hint': the list is empty"),
        ({**GOOD_ROW, "hint": None}, r"row 2, column 'hint': a list of texts was expected, got nothing"),
        ({**GOOD_ROW, "hint": ["other"]}, r"row 2, column 'answer': it does not start with the chunks"),
        ({**GOOD_ROW, "answer": None}, r"row 2, column 'answer': text was expected, got nothing"),
        ({**GOOD_ROW, "prompt": []}, r"row 2, column 'prompt': exactly one message was expected, got 0"),
        ({**GOOD_ROW, "prompt": GOOD_ROW["prompt"] * 2}, r"row 2, column 'prompt': exactly one message .* got 2"),
        ({**GOOD_ROW, "prompt": [{"content": None, "role": "u"}]}, r"row 2, column 'prompt': text was expected"),
        ({**GOOD_ROW, "data_source": "xyz"}, r"row 2, column 'data_source': unknown data source 'xyz'; known: "),
        ({**GOOD_ROW, "data_source": None}, r"row 2, column 'data_source': text was expected"),
        ({**GOOD_ROW, "reward_model": None}, r"row 2, column 'reward_model': the field 'ground_truth' is missing"),
        (
            {**GOOD_ROW, "reward_model": {"ground_truth": {"numbers": None, "target": 1}}},
            r"row 2, column 'reward_model.ground_truth': the field 'numbers' is missing",
        ),
    ],
)
def test_a_malformed_row_is_named(table: Write, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        read_examples(table(GOOD_ROW, row))
    assert "rows.parquet" in str(caught.value)


@pytest.mark.parametrize("column", ["prompt", "hint", "answer", "reward_model", "data_source"])
def test_a_missing_column_is_named(table: Write, column: str) -> None:
    with pytest.raises(UserError, match=rf"rows\.parquet: the column '{column}' is missing; there are "):
        read_examples(table(without(GOOD_ROW, column)))


@pytest.mark.parametrize("column", ["prompt", "hint", "answer", "reward_model", "data_source"])
def test_a_column_of_another_type_is_named(table: Write, column: str) -> None:
    with pytest.raises(UserError, match=f"row 1, column '{column}'"):
        read_examples(table({**GOOD_ROW, column: 3}))


def test_files_that_are_none(tmp_path: Path, table: Write) -> None:
    with pytest.raises(UserError, match="there is no file"):
        read_examples(tmp_path / "nothing.parquet")
    with pytest.raises(UserError, match="is a folder"):
        read_examples(tmp_path)
    (tmp_path / "a.csv").write_text("prompt\n")
    with pytest.raises(UserError, match=r"end in \.jsonl or \.parquet"):
        read_examples(tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_text("no parquet at all")
    with pytest.raises(UserError, match=r"a\.parquet cannot be read as parquet"):
        read_examples(tmp_path / "a.parquet")
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(table(GOOD_ROW).read_bytes()[:200])
    with pytest.raises(UserError, match=r"cut\.parquet cannot be read as parquet"):
        read_examples(cut)
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as UTF-8"):
        read_examples(tmp_path / "b.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(UserError, match="has no rows"):
        read_examples(tmp_path / "empty.jsonl")


def test_rows_with_one_problem_share_a_split(lines: Write) -> None:
    rows = [
        {**GOOD_LINE, "prompt": f"problem {n} written {way}", "answer": {"numbers": numbers, "target": 10 + n}}
        for n in range(90)
        for way, numbers in enumerate(([3, 4, 5], [5, 4, 3], [4, 3, 5]))
    ]
    file = read_examples(lines(*rows))
    targets = {
        split: {example.answer.target for example in file.split(split)} for split in ("train", "validation", "heldout")
    }
    assert sum(map(len, targets.values())) == 90
    assert all(targets.values())


def test_a_file_is_a_task(lines: Write) -> None:
    rows = [{**GOOD_LINE, "answer": {"numbers": [3, 4, 5], "target": n}} for n in range(100)]
    file = read_examples(lines(*rows))
    drawn = file.examples("train", 20, seed=1)
    assert [example.id for example in drawn] == [example.id for example in file.examples("train", 30, seed=1)[:20]]
    assert [example.id for example in drawn] != [example.id for example in file.examples("train", 20, seed=2)]
    assert len({example.id for example in drawn}) == 20
    there = len(file.split("heldout"))
    with pytest.raises(UserError, match=f"has {there} heldout rows, 1000 were asked for"):
        file.examples("heldout", 1000, seed=0)
    with pytest.raises(UserError, match="cannot be negative"):
        file.examples("train", -1, seed=0)
    with pytest.raises(UserError, match="unknown split"):
        file.examples("test", 1, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "statements", ["((", "5", "('telling-truth', 0)", "(('maybe', 0),)", "(('lying', 7),)", "(('and', 1),)", "((" * 500]
)
def test_statements_that_cannot_be_read_are_named(lines: Write, statements: str) -> None:
    truth = {"names": ["A"], "solution": [True], "statements": statements}
    with pytest.raises(UserError, match=r"row 1, column 'answer': statements"):
        read_examples(lines({**GOOD_LINE, "task": "kk_logic", "answer": truth}))


def test_a_row_may_state_facts(lines: Write) -> None:
    (example,) = read_examples(lines({**GOOD_LINE, "facts": {"domain": "numbers", "level": 3}})).all_examples
    assert example.facts == {"domain": "numbers", "level": 3, "data_source": "countdown", "row": 1}
    with pytest.raises(UserError, match="row 1, column 'facts': an object was expected, got"):
        read_examples(lines({**GOOD_LINE, "facts": ["numbers"]}))
