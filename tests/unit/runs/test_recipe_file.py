"""``recipe.yaml`` back and forth, and what is said about one that somebody spoilt."""

from pathlib import Path

import pytest

from fixtures.small_runs import command, small_spec
from posttrain.errors import UserError
from posttrain.runs.recipe_file import read, write


def test_what_is_written_is_read(tmp_path):
    spec = small_spec("uft", Path("model"), tmp_path, seed=3)
    write(tmp_path, spec)
    assert read(tmp_path) == spec


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "holds no settings"),
        ("method: [", "this is no YAML"),
        ("steps: 3\n", "names no method"),
        ("method: utf\n", "did you mean 'uft'?"),
        ("method: uft\nstepz: 3\n", "did you mean 'steps'? ({file}, line 2)"),
        ("method: uft\nsteps: many\n", "steps needs a whole number or null, got 'many' ({file}, line 2)"),
        ("method: uft\narguments:\n  likelihod: 1\n", "did you mean 'likelihood'? ({file}, line 3)"),
        ("method: uft\nmethod: sft\n", "stands there twice"),
    ],
)
def test_a_spoilt_recipe_is_one_sentence_with_its_line(tmp_path, content, sentence):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert sentence.format(file=path) in str(caught.value)
    answer = command("run", "--resume", tmp_path)
    assert (answer.code, answer.error.count("\n")) == (2, 1)


def test_a_folder_without_recipe_is_no_run(tmp_path):
    with pytest.raises(UserError, match="is no run"):
        read(tmp_path)
