"""A method or a run file, options over it, assignments over its arguments."""

import pytest

from posttrain.cli.specification import run_spec, written_run
from posttrain.errors import UserError
from posttrain.runs.recipe_file import read, write
from posttrain.runs.spec import RunSpec
from posttrain.settings.building import resolved
from posttrain.settings.tasks import resolved_task

FILE = """\
method: uft
task: {name: countdown, counts: [3]}
steps: 20
arguments:
  learning_rate: 1e-4
  hints: {start: 0.9}
"""


def spec_of(path, options=None, assignments=()):
    return run_spec(written_run(str(path)), options or {}, assignments, "none")


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(FILE)
    return path


def test_a_run_file_has_the_fields_of_a_run(run_file):
    spec = spec_of(run_file)
    assert spec == RunSpec(
        method="uft",
        out="runs/uft-seed0",
        task=resolved_task({"name": "countdown", "counts": [3]}),
        steps=20,
        arguments={"hints": {"binomial_cosine": {"start": 0.9}}, "reinforcement": {"learning_rate": 1e-4}},
    )


def test_options_and_assignments_go_over_the_file(run_file):
    options = {"steps": 5, "seed": 3, "out": "here", "model": None}
    spec = spec_of(run_file, options, ["learning_rate=1e-3", "task.form=compact_form"])
    assert (spec.steps, spec.seed, spec.out, spec.model) == (5, 3, "here", "embedded")
    assert spec.arguments["reinforcement"] == {"learning_rate": 1e-3}
    assert spec.task is not None
    assert spec.task["counts"] == [3]
    assert list(spec.task["form"]) == ["compact_form"]


def test_data_as_an_option_takes_the_place_of_the_file_s_task(run_file):
    spec = spec_of(run_file, {"data": "x.jsonl"})
    assert (spec.task, spec.data) == (None, "x.jsonl")


def test_the_recipe_of_a_run_is_a_run_file(tmp_path):
    spec = spec_of("uft", {"task": "countdown", "out": str(tmp_path), "steps": 3})
    arguments = {key: value for key, value in resolved("uft", spec.arguments).items() if key != "steps"}
    write(tmp_path, RunSpec("uft", str(tmp_path), task=spec.task, steps=3, arguments=arguments))
    again = spec_of(tmp_path / "recipe.yaml", {"out": str(tmp_path)})
    assert resolved("uft", again.arguments) == resolved("uft", spec.arguments)
    assert (again.task, again.steps, again.seed) == (spec.task, 3, 0)
    assert read(tmp_path).task == spec.task


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("task: countdown\n", "names no method"),
        ("method: ufd\n", "unknown method 'ufd'; did you mean 'uft'? ({file}, line 1)"),
        ("method: uft\ntsk: countdown\n", "unknown key of a run file 'tsk'; did you mean 'task'? ({file}, line 2)"),
        ("method: uft\nsteps: many\n", "steps needs a whole number or null, got 'many' ({file}, line 2)"),
        ("method: uft\ntask:\n  name: countdown\n  count: [3]\n", "did you mean 'task.counts'? ({file}, line 4)"),
        ("method: uft\ntask:\n  counts: [3]\n", "a task needs a name"),
        (FILE.replace("start", "strat"), "did you mean 'hints.start'? ({file}, line 6)"),
        (FILE.replace("1e-4", "high"), "reinforcement.learning_rate needs a number, got 'high' ({file}, line 5)"),
        (FILE.replace("0.9", "9"), "hint fractions lie between 0 and 1, got start 9.0 and end 0.05 ({file}, line 6)"),
        ("method: uft\narguments: {steps: 3}\n", "the number of steps is no argument"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path, content, sentence):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        spec_of(path)
    assert sentence.format(file=path) in str(caught.value)
