import pytest

from posttrain.errors import UserError
from posttrain.settings.documents import read_document, read_value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("2E3", 2000.0), ("-1e-1", -0.1), ("3", 3), ("a", "a"), ("", None), ("[1, b]", [1, "b"])],
)
def test_values_mean_what_people_mean(text, value):
    read = read_value(text, "x")
    assert read == value
    assert type(read) is type(value)


def test_every_key_knows_its_line(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("# a run\nmethod: uft\narguments:\n  hints:\n    start: 1e-1\n")
    document = read_document(path)
    assert document.content == {"method": "uft", "arguments": {"hints": {"start": 0.1}}}
    assert document.origin(("arguments", "hints", "start")) == f" ({path}, line 5)"
    assert document.origin(("arguments", "hints", "end")) == f" ({path}, line 4)"
    assert document.origin(("nothing",)) == f" ({path})"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("method: [uft", "line 1, column"),
        ("method: uft\nmethod: rft\n", "method stands there twice"),
        ("- uft\n", "holds no settings"),
        ("", "holds no settings"),
        ("method: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a: \x00", "this is no YAML"),
    ],
)
def test_malformed_files_are_answered_with_the_place(tmp_path, content, sentence):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_document(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_document(tmp_path / "run.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="cannot be read as text"):
        read_document(tmp_path / "binary.yaml")
