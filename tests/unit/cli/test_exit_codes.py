"""Bad input: one sentence, exit code 2, no traceback, nothing written, and torch never imported."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ALL = """
import contextlib, io, json, os, sys
from pathlib import Path
from posttrain.cli import main
from posttrain.cli.main import exit_code
answers = []
for case in json.load(sys.stdin):
    out, err, before = io.StringIO(), io.StringIO(), sorted(map(str, Path(".").rglob("*")))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exit_code(case)
    written = sorted(map(str, Path(".").rglob("*"))) != before
    heavy = "torch" in sys.modules or "transformers" in sys.modules
    answers.append([code, out.getvalue(), err.getvalue(), written, heavy])
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    error: str
    wrote_files: bool
    imported_torch: bool


def answers_to(cases: list[list[str]], folder: Path) -> dict[tuple[str, ...], Answer]:
    """What the command line says to each of ``cases``, all in one process that starts without torch."""
    command = [sys.executable, "-c", ALL]
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return {tuple(case): Answer(*row) for case, row in zip(cases, json.loads(done.stdout), strict=True)}


def posttrain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "posttrain.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


RUN = ("run", "uft", "--task", "countdown")


HARMLESS = [["--help"], ["list"], ["list", "--json"], ["show", "uft"], ["run", "--help"], ["--version"]]
BAD: list[tuple[list[str], str]] = [
    (["lst"], "Did you mean 'list'?"),
    (["run", "uft", "--stepz", "3"], "unknown option '--stepz'; did you mean '--steps'?"),
    (["run", "uft", "--steps", "abc"], "--steps"),
    (["run"], "name a method or a run file"),
    (["run", "utf"], "unknown method 'utf'; did you mean 'uft'?"),
    (["run", "uft", "--preset", "none"], "give exactly one of --task NAME and --data FILE"),
    ([*RUN, "--data", "x.jsonl"], "give exactly one of --task NAME and --data FILE"),
    (["run", "uft", "--task", "countdwn"], "unknown task 'countdwn'; did you mean 'countdown'?"),
    (["run", "uft", "--data", "x.jsonl"], "there is no file 'x.jsonl'"),
    ([*RUN, "--steps", "-1"], "steps cannot be negative, got -1"),
    ([*RUN, "--training-examples", "0"], "training_examples must be at least 1, got 0"),
    ([*RUN, "--evaluate-every", "0"], "evaluate_every must be at least 1, got 0"),
    ([*RUN, "--overlong", "dropp"], "overlong needs drop or error, got 'dropp'"),
    ([*RUN, "--precision", "half"], "precision needs auto, float32 or bfloat16, got 'half'"),
    ([*RUN, "--model", "nowhere"], "there is no model folder 'nowhere'"),
    ([*RUN, "--model", "empty"], "'empty' is no model folder: it has no config.json"),
    ([*RUN, "--out", "used"], "the output folder 'used' is in use; continue it with --resume used"),
    ([*RUN, "--out", "file.yaml"], "'file.yaml' is a file"),
    ([*RUN, "--set", "lerning_rate=1"], "unknown setting of uft 'lerning_rate'; did you mean 'learning_rate'?"),
    ([*RUN, "--set", "learning_rate=abc"], "reinforcement.learning_rate needs a number, got 'abc'"),
    ([*RUN, "--set", "steps=3"], "give it with --steps"),
    ([*RUN, "--set", "rollouts_per_prompt=1"], "rollouts_per_prompt must be at least 2"),
    ([*RUN, "--set", "hints.start=3"], "hint fractions lie between 0 and 1"),
    ([*RUN, "--set", "task.counts=[9]"], "countdown needs 2 to 6 numbers"),
    (["run", "file.yaml"], "did you mean 'arguments'? (file.yaml, line 3)"),
    (["run", "nowhere.yaml"], "there is no file 'nowhere.yaml'"),
    (["run", "--resume", "nowhere"], "'nowhere' is no run: it has no recipe.yaml"),
    (["run", "rft", "--resume", "used"], "'used' is a run of uft, not of rft"),
    (["run", "--resume", "used", "--steps", "3"], "it cannot be combined with --steps"),
    (["run", "--resume", "used"], "'used' holds no checkpoint to resume from"),
    (["compare"], "missing argument 'METHOD...'"),
    (["compare", "uft", "rftt", "--task", "countdown"], "did you mean 'rft'?"),
    (["compare", "uft", "uft", "--task", "countdown"], "two arms are called 'uft'"),
    (["compare", "uft", "--task", "countdown", "--seeds", "0"], "seeds must be at least 1, got 0"),
    (["compare", "uft", "--task", "countdown", "--tune", "learning_rate"], "--tune takes name=a,b,c"),
    (["compare", "uft", "--task", "countdown", "--tune", "learning_rate=1,x"], "needs a number, got 'x'"),
    (
        ["compare", "uft", "--task", "countdown", "--set", "rft:entropy=0"],
        "unknown arm of this comparison 'rft'",
    ),
    (["compare", "uft", "rft", "--task", "countdown", "--set", "strat=0"], "unknown setting of rft 'strat'"),
    (["evaluate", "--model", "empty", "--task", "countdown"], "'empty' is no model folder"),
    (["evaluate", "--task", "countdown", "--samples", "-1"], "samples cannot be negative"),
    (["evaluate", "--task", "countdown", "--stop-temperature", "0"], "stop_temperature lies above 0, got 0.0"),
    (
        ["evaluate", "--task", "countdown", "--stop-temperature", "0.9", "--thinking", "", "#"],
        "--thinking takes two texts",
    ),
    (["theory", "--seeds", "0"], "seeds must be at least 1, got 0"),
    (["theory", "--heights", "2,x"], "--heights takes whole numbers with commas"),
    (["theory", "--out", "file.yaml"], "'file.yaml' is a file"),
    (["pretrain", "--steps", "0"], "steps must be at least 1, got 0"),
    (["pretrain", "--corpus", "nothing"], "unknown corpus 'nothing'"),
    (["demo", "--steps", "0"], "steps must be at least 1, got 0"),
    (["show", "utf"], "unknown method, task or folder 'utf'; did you mean 'uft'?"),
    (["show", "empty"], "'empty' is no run: it has no recipe.yaml"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad-input")
    (folder / "empty").mkdir()
    (folder / "used").mkdir()
    (folder / "used" / "recipe.yaml").write_text("method: uft\ntask: {name: countdown}\n")
    (folder / "file.yaml").write_text("method: uft\ntask: countdown\nargumets: {likelihood: 0}\n")
    return answers_to([*HARMLESS, *(arguments for arguments, _ in BAD)], folder)


@pytest.mark.parametrize("arguments", HARMLESS, ids=" ".join)
def test_asking_costs_nothing(answers, arguments):
    answer = answers[tuple(arguments)]
    assert (answer.code, answer.error, answer.wrote_files, answer.imported_torch) == (0, "", False, False)
    assert answer.out.strip()


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_gets_one_sentence_at_once(answers, arguments, sentence):
    answer = answers[tuple(arguments)]
    assert (answer.code, answer.out, answer.wrote_files, answer.imported_torch) == (2, "", False, False)
    assert answer.error.startswith("posttrain: ")
    assert answer.error.count("\n") == 1
    assert sentence in answer.error


def test_the_exit_code_reaches_the_shell(tmp_path):
    answer = posttrain(tmp_path, "run", "utf")
    assert answer.returncode == 2
    assert answer.stderr == "posttrain: unknown method 'utf'; did you mean 'uft'?\n"


def test_no_command_shows_the_help(tmp_path):
    answer = posttrain(tmp_path)
    assert answer.returncode == 2
    assert "Usage: posttrain" in answer.stdout + answer.stderr


CRASH = """
import sys
from pathlib import Path
from posttrain.cli import failures, listing, main
def fail():
    failures.working_folder.set(Path(sys.argv[1]))
    raise {error}
listing.methods = fail
main.main(["list"])
"""


def crash(folder: Path, working: str, error: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CRASH.format(error=error), working]
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_an_unforeseen_error_leaves_its_traceback_in_the_log(tmp_path):
    (tmp_path / "work").mkdir()
    answer = crash(tmp_path, "work", "RuntimeError('the\\nmatter')")
    assert answer.returncode == 1
    assert answer.stderr == "posttrain: internal error: RuntimeError: the matter; the traceback is in work/log.txt\n"
    assert "Traceback" in (tmp_path / "work" / "log.txt").read_text()


def test_without_a_folder_the_traceback_goes_to_a_temporary_file(tmp_path):
    answer = crash(tmp_path, "nowhere", "RuntimeError")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    (log,) = tmp_path.glob("posttrain-*.log")
    assert str(log) in answer.stderr
    assert "Traceback" in log.read_text()


def test_an_interruption_is_no_error(tmp_path):
    answer = crash(tmp_path, "nowhere", "KeyboardInterrupt")
    assert answer.returncode == 130
    assert answer.stderr == "posttrain: interrupted\n"


def test_list_for_programs(tmp_path):
    rows = json.loads(posttrain(tmp_path, "list", "--json").stdout)
    assert {"sft", "rft", "sft_rft", "r3", "staged", "uft"} <= {row["name"] for row in rows}
    assert all(set(row) == {"name", "paper", "arxiv", "axes"} for row in rows)
    assert next(row for row in rows if row["name"] == "uft")["arxiv"] == "2505.16984"
