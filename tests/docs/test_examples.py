"""Every command and every piece of Python in the documentation runs, with the long ones shortened.

The blocks of a page run in order in one empty folder, so that a later command may look at what an earlier one wrote.
A YAML block that begins with a comment naming a file becomes that file; a text block right after Python is its output.
"""

import re
from pathlib import Path

import pytest

from fixtures.documentation import COMMANDS, ROOT, Block, Command, blocks, commands, name_of, pages
from posttrain.cli.main import exit_code

EMBEDDED = ROOT / "src" / "posttrain" / "embedded" / "model"
HAS_EXAMPLES = [page for page in pages() if blocks(page) and page.name != "claims.md"]
"""The claims page is a record: its commands are those of the measurements and take hours."""
SHORT = {
    "run": {"--steps": "2", "--training-examples": "8", "--evaluation-examples": "2"},
    "compare": {"--steps": "1", "--training-examples": "8", "--evaluation-examples": "2", "--seeds": "1"},
    "evaluate": {"--examples": "4", "--max-new-tokens": "8"},
    "theory": {"--seeds": "1", "--heights": "2,3", "--workers": "1"},
    "pretrain": {"--steps": "1", "--documents-per-step": "2"},
    "demo": {"--steps": "1"},
}
SMALL = ["--set", "prompts_per_step=2"]


def shortened(words: list[str], model: Path) -> list[str]:
    """The arguments of a ``posttrain`` command as the test gives them: short, and on a model that exists."""
    name, rest = words[0], words[1:]
    if name not in SHORT or "--resume" in rest:
        return words
    for option, value in SHORT[name].items():
        if option in rest:
            rest[rest.index(option) + 1] = value
        elif option != "--heights" or "--quick" not in rest:
            rest += [option, value]
    if "--tune" in rest:
        at = rest.index("--tune") + 1
        rest[at] = ",".join(rest[at].split(",")[:2])
    if name in ("run", "compare"):
        rest += SMALL
    if name in ("run", "compare", "evaluate"):
        rest = with_model(rest, model, name)
    return [name, *rest]


def with_model(words: list[str], model: Path, command: str) -> list[str]:
    """``words`` with the little model where they name none that exists."""
    if "--model" in words:
        at = words.index("--model") + 1
        return words if Path(words[at]).exists() else [*words[:at], str(model), *words[at + 1 :]]
    if EMBEDDED.is_dir():
        return words
    what_embedded_has = ["--task", "key_paths"] if command == "evaluate" else ["--preset", "tiny"]
    return [*words, "--model", str(model), *what_embedded_has]


def demonstrations() -> list[Command]:
    every = [c for page in HAS_EXAMPLES for b in blocks(page) if b.language in COMMANDS for c in commands(b)]
    return [command for command in every if command.words[:2] == ["posttrain", "demo"]]


@pytest.mark.parametrize("page", HAS_EXAMPLES, ids=name_of)
def test_the_examples_of_a_page(page, model, tmp_path, monkeypatch, capsys, in_this_process):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    printed = ""
    for number, block in enumerate(found := blocks(page)):
        where = f"{name_of(page)}, line {block.line}"
        if block.language in COMMANDS:
            for command in commands(block):
                carry_out(command, model, f"{name_of(page)}, line {command.line}", capsys)
        elif block.language == "python":
            printed = python(block, model, where, capsys)
        elif block.language == "yaml":
            write_file(block)
        elif block.language == "text":
            if number and found[number - 1].language == "python":
                assert printed == block.text, where
        else:
            pytest.fail(f"{where}: a block needs console, bash, python, yaml or text, got {block.language!r}")


def carry_out(command: Command, model: Path, where: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = command.words
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(words) <= set(targets), where
        return
    assert program == "posttrain", f"{where}: no test knows how to run {program}"
    if words[0] == "demo":
        return  # has a test of its own
    code = exit_code(shortened(words, model))
    captured = capsys.readouterr()
    assert code == command.code, f"{where}: {captured.err[-2000:]}"
    for line in command.output:
        assert line in captured.out + captured.err, where


def python(block: Block, model: Path, where: str, capsys: pytest.CaptureFixture[str]) -> str:
    text = block.text if EMBEDDED.is_dir() else block.text.replace('located("embedded")', repr(str(model)))
    exec(compile("\n" * (block.line - 1) + text, where, "exec"), {"__name__": "example"})
    return capsys.readouterr().out


def write_file(block: Block) -> None:
    comment, _, content = block.text.partition("\n")
    name = re.fullmatch(r"# (\S+\.yaml)", comment)
    if name:
        Path(name[1]).write_text(content, encoding="utf-8")


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason=f"there is no embedded model in {EMBEDDED.relative_to(ROOT)}")
@pytest.mark.parametrize("command", demonstrations(), ids=lambda command: " ".join(command.words))
def test_the_demonstration(command, model, tmp_path, monkeypatch, in_this_process):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("posttrain.runs.demo.QUICK_PROBLEMS", 4)
    monkeypatch.setattr("posttrain.runs.demo.QUICK_SAMPLES", 2)
    assert exit_code(shortened(command.words[1:], model)) == 0
    (report,) = tmp_path.rglob("demo*/report.html")
    assert report.stat().st_size > 10_000
