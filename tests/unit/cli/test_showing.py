"""What ``show`` prints."""

import json

import pytest
from typer.testing import CliRunner

from posttrain.cli.main import app
from posttrain.cli.showing import setting_rows
from posttrain.settings.catalogue import method
from posttrain.settings.schema import Chosen
from posttrain.settings.tree import default_fields


def shown(*arguments: str) -> str:
    answer = CliRunner().invoke(app, ["show", *arguments], env={"COLUMNS": "160", "NO_COLOR": "1"})
    assert answer.exit_code == 0
    return answer.stdout


def test_a_method_with_all_its_settings():
    text = shown("uft")
    for piece in ("arXiv: 2505.16984", "binomial_cosine", "learning_rate", "fraction: 0.6", "methods/uft.py"):
        assert piece in text
    assert "``" not in text


def test_what_may_be_changed_about_its_stages():
    lines = [line.split() for line in shown("rft").splitlines() if line.strip()]
    first = next(number for number, words in enumerate(lines) if words[0] == "stage")
    rows = {words[0]: words[1:] for words in lines[first:]}
    assert {"lora:", "rank", "chosen:", "names", "selection", "reference", "only"} <= rows.keys()
    assert rows["adapter"][0] == "null"


def test_its_source():
    assert "def recipe(" in shown("uft", "--source")


def test_a_task():
    assert "compact_form" in shown("countdown")


def test_rows_are_indented_by_what_they_belong_to():
    settings = method("staged").settings
    rows = [(row.label, row.default) for row in setting_rows(Chosen(settings, default_fields(settings)))]
    assert rows[:4] == [("steps", "500"), ("hints", ""), ("  hinted", "fraction: 0.6"), ("most_parts", "5")]
    assert ("    standardised:", "") in rows
    assert ("      epsilon", "1e-06") in rows


@pytest.mark.parametrize("finished", [True, False])
def test_a_run(tmp_path, finished):
    (tmp_path / "recipe.yaml").write_text("method: uft\nsteps: 3\n")
    if finished:
        (tmp_path / "summary.json").write_text(json.dumps({"accuracy": 0.25, "ci95": [0.2, 0.3], "base": {"n": 1}}))
    text = shown(str(tmp_path))
    assert "method: uft" in text
    assert ("0.2 … 0.3" in text) == finished
    assert ("--resume" in text) != finished
