"""Files of examples: what a method lacks in them, and what does not fit into the context."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.small_runs import ARGUMENTS, command, files_in, rows
from posttrain.data.reading import read_examples
from posttrain.model_folder import EMBEDDED_FOLDER, check_model

SYMBOLS = "abcdef"


def row(number: int, **changes: Any) -> dict[str, Any]:
    key = "".join(SYMBOLS[number // 6**place % 6] for place in range(3))
    return {"prompt": f"{key}:", "answer": "wx", "task": "key_paths", "demonstration": ["w", "x", "."], **changes}


def written(folder: Path, rows_of_file: list[dict[str, Any]]) -> Path:
    path = folder / "examples.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows_of_file))
    return path


def train(base: Path, folder: Path, data: Path, method: str, training: int = 12, *options: str):
    """Six steps by the command line."""
    run = {"method": method, "arguments": ARGUMENTS[method], "base_samples": 0}
    (folder / "run.yaml").write_text(yaml.safe_dump(run))
    counts = ["--training-examples", str(training), "--evaluation-examples", "6", "--steps", "2"]
    out = ["--out", folder / "run"]
    return command("run", folder / "run.yaml", "--model", base, "--data", data, *counts, *out, *options)


def in_training(path: Path) -> list[int]:
    """The numbers of the rows that are for training."""
    return [int(e.facts["row"]) - 1 for e in read_examples(path).split("train")]


@pytest.mark.parametrize("method", ["sft", "uft", "sft_rft"])
def test_a_row_without_the_demonstration_that_a_method_needs(tmp_path, base, method):
    made = [row(n) for n in range(100)]
    chosen = in_training(written(tmp_path, made))
    for number in chosen:
        del made[number]["demonstration"]
    answer = train(base, tmp_path, written(tmp_path, made), method)
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert "example 'examples:" in answer.error
    assert "has no demonstration, which this method learns from" in answer.error
    assert files_in(tmp_path) == ["examples.jsonl", "run.yaml"]


def test_reinforcement_needs_none(tmp_path, base):
    made = [row(n, demonstration=None) for n in range(100)]
    answer = train(base, tmp_path, written(tmp_path, made), "rft")
    assert answer.code == 0, answer.error


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"demonstration": []}, "row 3, column 'demonstration'"),
        ({"demonstration": {"chunks": []}}, "row 3, column 'demonstration'"),
        ({"demonstration": 7}, "row 3, column 'demonstration'"),
        ({"answer": None}, "row 3, column 'answer'"),
        ({"answer": "abc"}, "row 3, column 'answer'"),
        ({"prompt": 5}, "row 3, column 'prompt'"),
        ({"task": "key_pathz"}, "row 3, column 'task'"),
    ],
)
def test_a_malformed_row_is_named(tmp_path, base, changes, sentence):
    data = written(tmp_path, [row(n, **(changes if n == 2 else {})) for n in range(100)])
    answer = train(base, tmp_path, data, "uft")
    assert answer.code == 2
    assert answer.error.count("\n") == 1
    assert sentence in answer.error
    assert files_in(tmp_path) == ["examples.jsonl", "run.yaml"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[]"])
def test_a_file_that_holds_no_rows(tmp_path, base, content):
    path = tmp_path / "examples.jsonl"
    path.write_bytes(content)
    answer = train(base, tmp_path, path, "uft")
    assert (answer.code, answer.error.count("\n")) == (2, 1)
    assert "examples.jsonl" in answer.error
    assert files_in(tmp_path) == ["examples.jsonl", "run.yaml"]


def with_long_rows(folder: Path, share: float) -> tuple[Path, int, int]:
    """A file in which this share of the training rows is longer than the context; how many those and all are."""
    made = [row(n) for n in range(100)]
    chosen = in_training(written(folder, made))
    long = round(share * len(chosen))
    kept = [r for n, r in enumerate(made) if n not in chosen[:long]]
    # Whether a row is for training depends on its prompt: draw long ones until enough are.
    candidates = [row(n, prompt=f"{'abcdefghij' * 12}{n}:") for n in range(300)]
    drawn = in_training(written(folder, candidates))[:long]
    path = written(folder, [*kept, *(candidates[n] for n in drawn)])
    return path, long, len(chosen)


def test_long_examples_are_dropped_and_counted(tmp_path, base):
    data, long, count = with_long_rows(tmp_path, 0.04)
    answer = train(base, tmp_path, data, "uft", count)
    assert answer.code == 0, answer.error
    assert f"left out {long} training and 0 evaluation examples longer than the context" in " ".join(answer.out.split())
    assert long > 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["examples_dropped"] == long
    assert len(rows(tmp_path / "run" / "metrics.jsonl")) == 2


@pytest.mark.parametrize(
    ("share", "options", "sentence"),
    [
        (0.04, ["--overlong", "error"], "; --overlong drop leaves them out"),
        (0.07, [], "which is more than can be left out"),
        (1.0, [], "which is more than can be left out"),
    ],
)
def test_long_examples_that_are_too_many_or_not_wanted(tmp_path, base, share, options, sentence):
    data, long, count = with_long_rows(tmp_path, share)
    answer = train(base, tmp_path, data, "uft", count, *options)
    assert (answer.code, answer.error.count("\n")) == (2, 1)
    assert f"{long} of {count} examples are longer than the model's context of 48 tokens" in answer.error
    assert sentence in answer.error
    assert files_in(tmp_path) == ["examples.jsonl", "run.yaml"]


def test_without_the_embedded_model_its_command_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("posttrain.model_folder.EMBEDDED_FOLDER", tmp_path / "nothing")
    for command_line in (["run", "uft"], ["compare", "uft", "rft"], ["evaluate"]):
        answer = command(*command_line, "--task", "key_paths", "--out", tmp_path / "run")
        assert (answer.code, answer.out, answer.error.count("\n")) == (2, "", 1)
        assert "make it again with posttrain pretrain" in answer.error
    assert files_in(tmp_path) == []
    assert check_model.__doc__
    assert EMBEDDED_FOLDER.name == "model"
