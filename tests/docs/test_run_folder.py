"""The page on run folders names every file and key of a real one, and no metric that does not exist."""

import dataclasses
import json
import re

import pytest
import yaml

from fixtures.documentation import ROOT
from posttrain.cli.main import exit_code
from posttrain.pretraining.fitness import Fitness
from posttrain.settings.catalogue import method_names
from posttrain.stopwatch import PHASES

PAGE = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
SMALL = ["--task", "key_paths", "--preset", "tiny", "--set", "prompts_per_step=2"]
SMALL += ["--steps", "1", "--training-examples", "4", "--evaluation-examples", "2"]
PENALISED = ["--set", "kl_coefficient=0.1", "--set", "entropy=0.1"]


@pytest.fixture(scope="module")
def folders(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders")
    run, evaluated, base = folder / "run", folder / "evaluated", folder / "base"
    assert exit_code(["run", "uft", *SMALL, *PENALISED, "--profile", "--model", str(model), "--out", str(run)]) == 0
    evaluation = ["--task", "key_paths", "--examples", "2", "--max-new-tokens", "4", "--samples", "2"]
    assert exit_code(["evaluate", "--model", str(model), *evaluation, "--out", str(evaluated)]) == 0
    assert exit_code(["pretrain", "--steps", "1", "--documents-per-step", "2", "--out", str(base)]) == 0
    return run, evaluated, base


@pytest.fixture(scope="module")
def others(model, tmp_path_factory):
    """Runs of methods with interludes or a head."""
    folder = tmp_path_factory.mktemp("others")
    short = ["--set", "own.max_new_tokens=4", "--set", "paraphrase.max_new_tokens=4"]
    for method, settings in (("s3ft", short), ("grape", []), ("reward_model", [])):
        command = ["run", method, *SMALL, *settings, "--model", str(model), "--out", str(folder / method)]
        assert exit_code(command) == 0
    return folder


@pytest.fixture
def compared(model, tmp_path, in_this_process):
    tuning = ["--tune", "learning_rate=1e-4,2e-4", "--seeds", "1"]
    arms = [
        "compare",
        "sft",
        "rft",
        *SMALL,
        *PENALISED,
        *tuning,
        "--model",
        str(model),
        "--out",
        str(tmp_path / "compared"),
    ]
    assert exit_code(arms) == 0
    return tmp_path / "compared"


def section(title: str) -> str:
    """The part of the page below a heading of any level."""
    level, rest = re.search(rf"^(#+) [^\n]*{re.escape(title)}[^\n]*\n(.*)", PAGE, re.DOTALL | re.MULTILINE).groups()
    return re.split(rf"^#{{2,{len(level)}}} ", rest, flags=re.MULTILINE)[0]


def paragraph(name: str) -> str:
    """The paragraph of the page that begins with a file's name."""
    return re.search(rf"^\*\*{re.escape(name)}\*\*(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)[1]


def named(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def first_row(path):
    return json.loads(path.read_text(encoding="utf-8").splitlines()[0])


def undocumented(keys, text):
    return {key for key in keys if key not in named(text)}


def test_files_of_a_run(folders):
    files = {path.name + "/" * path.is_dir() for path in folders[0].iterdir()}
    assert not undocumented(files, section("A run"))


def test_files_of_runs_with_interludes_or_a_head(others):
    for run in others.iterdir():
        files = {path.name + "/" * path.is_dir() for path in run.iterdir()}
        assert not undocumented(files, section("A run")), run.name
    assert (others / "reward_model" / "checkpoint" / "heads.safetensors").exists()
    assert "heads.safetensors" in named(section("A run"))


def test_keys_of_interludes_are_all_described_and_all_there(others):
    found = {*first_row(others / "s3ft" / "interludes.jsonl"), *first_row(others / "grape" / "interludes.jsonl")}
    described = named(section("interludes.jsonl"))
    assert not found - described
    assert described - found <= set(method_names())


def test_keys_of_a_run(folders):
    run = folders[0]
    assert not undocumented(yaml.safe_load((run / "recipe.yaml").read_text()), section("recipe.yaml"))
    for name in ("rollouts.jsonl", "evaluations.jsonl", "heldout.jsonl"):
        assert not undocumented(first_row(run / name), section(name)), name
    assert not undocumented(json.loads((run / "base.json").read_text()), section("base.json"))
    summary = json.loads((run / "summary.json").read_text())
    assert not undocumented([*summary, *summary["versions"]], section("summary.json"))


def test_metrics_are_all_described_and_all_there(folders):
    found = set(first_row(folders[0] / "metrics.jsonl"))
    described = named(section("metrics.jsonl"))
    assert not found - described
    assert described - found - set(method_names()) == {"loss/TERM", "loss/likelihood"}


def test_a_profile_tells_every_phase_and_nothing_twice(folders):
    row = first_row(folders[0] / "profile.jsonl")
    assert set(row) == named(section("profile.jsonl")) - {"--profile"}
    parts = [value for name, value in row.items() if name not in ("step", "seconds", "beside")]
    assert sum(parts) == pytest.approx(row["seconds"])
    assert all(row[name] > 0 for name in (*PHASES, "beside"))
    assert row["other"] >= 0
    assert "Where the time of a step goes" in (folders[0] / "report.html").read_text(encoding="utf-8")


def test_an_evaluation_and_a_pretrained_model(folders):
    _, evaluated, base = folders
    text = section("An evaluation and a pretrained model")
    keys = {*json.loads((evaluated / "summary.json").read_text()), *first_row(base / "metrics.jsonl")}
    assert not undocumented({*keys, "fitness.json", *(f.name for f in dataclasses.fields(Fitness))}, text)


def test_files_and_keys_of_a_comparison(compared):
    files = {path.name for path in compared.iterdir() if path.is_file()}
    assert not undocumented(files, section("A comparison"))
    for name in ("comparison.json", "paired.json"):
        (row, *_) = json.loads((compared / name).read_text())
        assert not undocumented(row, paragraph(name)), name
    tuning = json.loads((compared / "tuning.json").read_text())
    assert not undocumented({*tuning, *tuning["rows"][0]}, paragraph("tuning.json"))
