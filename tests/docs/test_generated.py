"""What the documentation repeats from the code is what the code says."""

import importlib.util
import json

import pytest

from fixtures.documentation import ROOT, name_of
from posttrain.settings.catalogue import method_names, tasks


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = list(generator().pages())


@pytest.mark.parametrize(("path", "content"), PAGES, ids=[name_of(path) for path, _ in PAGES])
def test_generated_pages_are_up_to_date(path, content):
    assert path.read_text(encoding="utf-8") == content, "run python docs/generate.py"


def test_every_method_and_task_has_its_section():
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    described = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert all(f"\n## {name}\n" in methods for name in method_names())
    assert all(f"\n## {name}\n" in described for name in tasks())


def test_every_word_of_the_vocabulary_stands_there_once():
    rows = (ROOT / "docs" / "vocabulary.md").read_text(encoding="utf-8").splitlines()
    words = [row.split("**")[1] for row in rows if row.startswith("| **")]
    assert len(words) == len(set(words)) > 30


def test_json_of_the_list_is_what_the_page_says(capsys):
    from posttrain.cli.main import exit_code

    assert exit_code(["list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)[0]) == {"name", "paper", "arxiv", "axes"}
