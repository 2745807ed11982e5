"""Files that are whole or not there."""

import errno
import json
import math

import pytest

from posttrain.errors import UserError
from posttrain.runs import folder

SEPARATORS = "one\u2028two\u0085three\x0bfour\x1cfive"


def test_rows_come_back_whatever_a_model_wrote(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    folder.append_rows(path, [{"step": 1, "sampled": SEPARATORS}, {"step": 2, "sampled": "\n"}])
    folder.append_rows(path, [{"step": 3, "sampled": ""}])
    assert [row["sampled"] for row in folder.read_rows(path)] == [SEPARATORS, "\n", ""]


def test_a_torn_last_row_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert [row["step"] for row in folder.read_rows(path)] == [1, 2]
    folder.keep_rows_until(path, 1)
    assert path.read_text() == '{"step": 1}\n'


def test_unknown_numbers_are_null(tmp_path):
    folder.write_json(tmp_path / "x.json", {"a": math.nan, "b": (1, math.inf)})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1, None]}


def test_a_folder_is_replaced_only_when_it_is_complete(tmp_path):
    path = tmp_path / "checkpoint"
    for content in ("first", "second"):
        with folder.replaced_folder(path) as temporary:
            (temporary / "weights").write_text(content)
    with pytest.raises(KeyboardInterrupt), folder.replaced_folder(path) as temporary:
        _interrupted_writing(temporary / "weights")
    assert (path / "weights").read_text() == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def _interrupted_writing(path):
    path.write_text("third")
    raise KeyboardInterrupt


@pytest.mark.parametrize(("code", "remedy"), [(errno.ENOSPC, "free some"), (errno.EACCES, "choose another folder")])
def test_refusals_of_the_file_system_are_sentences(tmp_path, code, remedy):
    with pytest.raises(UserError, match=remedy), folder.disk_errors(tmp_path):
        raise OSError(code, "reason")


def test_other_errors_of_the_file_system_are_not_hidden(tmp_path):
    with pytest.raises(IsADirectoryError), folder.disk_errors(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "reason")


def test_a_folder_lost_between_the_two_renames_is_put_back(tmp_path):
    path = tmp_path / "checkpoint"
    (tmp_path / ".checkpoint.old").mkdir()
    (tmp_path / ".checkpoint.old" / "weights").write_text("1")
    folder.put_back(path)
    assert (path / "weights").read_text() == "1"
    folder.put_back(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]
