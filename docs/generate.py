"""Write what the documentation repeats: method pages, tables of settings and options, and speeds of the README.

Run ``python docs/generate.py`` after changing a method, a task, the command line or stored speeds; ``--check`` only
says what is stale. A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import typer

from posttrain.cli.main import app
from posttrain.cli.showing import setting_rows
from posttrain.protocols import Term
from posttrain.recipe import Interlude, Later, Recipe
from posttrain.rewards.verified import Verified
from posttrain.settings.building import build
from posttrain.settings.catalogue import Method, methods, task
from posttrain.settings.docstrings import LABEL
from posttrain.settings.presets import FOLDER
from posttrain.settings.schema import Chosen, Part
from posttrain.settings.tree import default_fields
from posttrain.stage import Problems, Stage, Stream
from posttrain.tasks.key_paths import KeyPaths
from posttrain.tasks.tool_calls import ToolCalls

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "claims"))
from effects import Effect, anchor, effects  # noqa: E402

PAGES = ("README.md", "docs/methods.md", "docs/tasks.md", "docs/command-line.md")
BLOCK = re.compile(r"<!-- generated: ([\w -]+) -->\n.*?<!-- end -->", re.DOTALL)
ROLE = re.compile(r":\w+:`([^`]+)`")
LITERAL = re.compile(r"``([^`]+)``")
ORDER = ("sft", "rft", "sft_rft", "r3", "staged", "uft")
"""Methods from the simplest to those that build on it; any other follows by name."""
HOMES = {"supervision": "sft", "reinforcement": "rft"}
"""Settings that several methods share, and the method whose section lists them."""
TASKS_OF_THEIR_OWN = {"tl_training": ToolCalls()}
"""The problems of methods that need more of an example than key paths have."""


def main() -> int:
    """Write the pages, or with ``--check`` compare them; 1 if something is stale."""
    stale = [path for path, content in pages() if path.read_text(encoding="utf-8") != content]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run python docs/generate.py\n")
        return int(bool(stale))
    for path, content in pages():
        path.write_text(content, encoding="utf-8")
    return 0


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with generated parts, and what it should hold."""
    for name in PAGES:
        path = ROOT / name
        yield path, filled(path.read_text(encoding="utf-8"))


def filled(text: str) -> str:
    """``text`` with every generated part written anew.

    Raises:
        KeyError: a part that nobody can write.
    """
    return BLOCK.sub(lambda found: f"<!-- generated: {found[1]} -->\n{written(found[1])}\n<!-- end -->", text)


def written(name: str) -> str:
    """The content of one generated part."""
    kind, _, detail = name.partition(" ")
    writers: dict[str, Callable[[str], str]] = {
        "methods": lambda _: method_table(),
        "method-pages": lambda _: "\n".join(map(method_page, ordered())),
        "task": lambda task_name: settings_table(task(task_name), deepest=2),
        "options": options_table,
        "preset": preset_file,
        "speeds": lambda _: speeds(),
    }
    return writers[kind](detail)


def speeds() -> str:
    """What the benchmarks found of the smallest model and short sequences."""

    def share(work: str) -> str:
        stored = json.loads((ROOT / "benchmarks" / "results" / f"{work}-1M-short.json").read_text(encoding="utf-8"))
        return f"{1 / stored['ratio']['median']:.2f}"

    return (
        f"- a supervised step takes {share('sft')} of TRL's time\n"
        f"- a GRPO step takes {share('grpo-dense')} of TRL's time, {share('grpo-sparse')} where one group in twenty "
        "has a signal\n"
        f"- sampling takes {share('sampling')} of vLLM's time"
    )


def ordered() -> list[Method]:
    """All methods, in the order in which they are best read."""
    return sorted(methods(), key=lambda m: (ORDER.index(m.name) if m.name in ORDER else len(ORDER), m.name))


def method_table() -> str:
    """A row per method, for an overview."""
    rows = ["| method | what it does | paper | arXiv | axes |", "|---|---|---|---|---|"]
    for m in ordered():
        link = f"[{m.arxiv}](https://arxiv.org/abs/{m.arxiv})"
        page = "docs/methods.md"
        title = m.title.rstrip(".")
        rows.append(
            f"| [`{m.name}`]({page}#{m.name}) | {cell(title)} | {cell(m.paper)} | {link} | {', '.join(m.axes)} |"
        )
    return "\n".join(rows)


def method_page(m: Method) -> str:
    """What a method does, what it is made of, and its settings."""
    labels = (
        f"Paper: {m.paper.rstrip('.')}. arXiv: [{m.arxiv}](https://arxiv.org/abs/{m.arxiv}). Sets: {', '.join(m.axes)}."
    )
    return "\n".join(
        [
            f"## {m.name}\n",
            f"**{markup(m.title)}**\n",
            f"{labels}\n",
            f"{prose(m.docstring)}\n",
            "Composition with its defaults:\n",
            composition(m),
            "",
            measured(m),
            "",
            f"Settings (`posttrain show {m.name}`):\n",
            settings_table(m.settings, elsewhere={name: home for name, home in HOMES.items() if home != m.name}),
            "",
        ]
    )


def measured(m: Method) -> str:
    """The effects of a method that the claims page has, a line each."""
    own = [e for e in effects() if e.method == m.name]
    if not own:
        return "Its effect has not been measured."
    lines = [
        f"- {'' if e.arm == m.name else f'as `{e.arm}` '}against `{e.baseline}`: {outcome(e)}{e.size} "
        f"{e.interval}, {e.verdict} ([{e.claim.name}](claims.md#{anchor(e.claim)}))"
        for e in own
    ]
    return "\n".join(["Measured:\n", *lines])


def outcome(e: Effect) -> str:
    """What was measured, where it is not the accuracy on the problems of the training."""
    if e.outcome == "accuracy":
        return ""
    return f"{e.outcome}{'' if e.better == 'more' else ' (less is better)'} "


def prose(docstring: str) -> str:
    """The paragraphs of a method's docstring without its title and labelled lines."""
    lines = inspect.cleandoc(docstring).splitlines()[1:]
    return markup("\n".join(line for line in lines if not LABEL.match(line)).strip())


def markup(text: str) -> str:
    """Markup of docstrings as Markdown."""
    return LITERAL.sub(r"`\1`", ROLE.sub(r"`\1`", text))


def composition(m: Method) -> str:
    """The stages of the method's recipe, read off the recipe itself."""
    problem_set = TASKS_OF_THEIR_OWN.get(m.name, KeyPaths())
    problems = Problems(problem_set.examples("train", 8, 0), problem_set.verify, Verified(problem_set.verify))
    module = __import__(f"posttrain.methods.{m.name}", fromlist=["recipe"])
    recipe: Recipe = module.recipe(problems, **build(m.name, {}))
    rows = [
        "| stage | steps | from | credit | term | trains | share | coefficient |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for part in recipe.stages:
        rows += part_rows(part)
    return "\n".join([*rows, *besides(recipe)])


def part_rows(part: Stage | Later | Interlude) -> Iterator[str]:
    """A row per term of a stage; one row for what stands between stages, or is composed when its turn comes."""
    if isinstance(part, Stage):
        yield from stage_rows(part)
    elif isinstance(part, Later):
        yield f"| {part.name} | {part.steps} | what the parts before it made | – | | | | |"
    else:
        yield f"| {part.name} | – | `{type(part).__name__}` | – | | | | |"


def stage_rows(stage: Stage) -> Iterator[str]:
    """A row per term; what holds for the whole stage stands in the first."""
    credits = [f"`{type(s.credit).__name__}`" for s in stage.streams if s.credit is not None]
    whole = [stage.name, str(stage.steps), "; ".join(map(source_cell, stage.streams)), ", ".join(credits) or "–"]
    for number, term in enumerate(stage.terms):
        yield "| " + " | ".join([*(whole if number == 0 else [""] * 4), *term_cells(term)]) + " |"


def source_cell(stream: Stream) -> str:
    """The source of a stream, with the law of its hints if it has one."""
    law = getattr(stream.source, "law", None)
    return f"`{type(stream.source).__name__}`" + ("" if law is None else f", `{type(law).__name__}`")


def besides(recipe: Recipe) -> Iterator[str]:
    """Selection, adapter, heads and frozen policies of the stages that have some."""
    for stage in (part for part in recipe.stages if isinstance(part, Stage)):
        said = [("selection", stage.selection), ("adapter", stage.adapter)]
        parts = [f"{what} `{type(value).__name__}`" for what, value in said if value is not None]
        parts += [f"head `{name}`" for name in stage.heads]
        frozen = [f"`{name}` ({type(stage.frozen[name]).__name__})" for name in sorted(stage.frozen_needed)]
        parts += [f"frozen {', '.join(frozen)}"] if frozen else []
        if parts:
            yield f"\nStage `{stage.name}`: {'; '.join(parts)}."


def term_cells(term: Term) -> list[str]:
    """Name and objective, origins, share, coefficient."""
    origins = ", ".join(sorted(origin.name for origin in term.over))
    coefficient = "scheduled" if callable(term.coefficient) else f"{term.coefficient:g}"
    return [f"{term.name}: `{type(term.objective).__name__}`", origins, f"`{type(term.share).__name__}`", coefficient]


def settings_table(part: Part, elsewhere: Mapping[str, str] = MappingProxyType({}), deepest: int = 9) -> str:
    """All settings with their defaults, indented below the part that they belong to.

    Args:
        part: a method's or a task's settings.
        elsewhere: settings whose own ones stand in another method's section.
        deepest: settings of parts of parts further down than this are left out.
    """
    rows, skipping = ["| setting | default | meaning |", "|---|---|---|"], False
    for row in setting_rows(Chosen(part, default_fields(part))):
        name = row.label.strip()
        depth = (len(row.label) - len(name)) // 2
        skipping = skipping and depth > 0
        if skipping or depth > deepest:
            continue
        if name in elsewhere:
            rows.append(f"| `{name}` | as in [`{elsewhere[name]}`](#{elsewhere[name]}) | {cell(row.meaning)} |")
            skipping = True
            continue
        indent = "&nbsp;" * 4 * depth
        if name.endswith(":"):
            rows.append(f"| {indent}with&nbsp;`{name[:-1]}`: | | |")
        else:
            default = f"`{cell(row.default)}`" if row.default else ""
            rows.append(f"| {indent}`{name}` | {default} | {cell(row.meaning)} |")
    return "\n".join(rows)


def options_table(command_name: str) -> str:
    """Arguments and options of a command."""
    group = typer.main.get_command(app)
    command = group.commands[command_name]  # type: ignore[attr-defined]
    rows = ["| option | meaning |", "|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = "" if parameter.param_type_name == "argument" else " ".join(parameter.opts)
        value = "" if getattr(parameter, "is_flag", False) else (parameter.metavar or "")
        default = parameter.default
        shown = f" Default: {default}." if isinstance(default, (int, str)) and not isinstance(default, bool) else ""
        rows.append(f"| `{cell(f'{names} {value}'.strip())}` | {cell(getattr(parameter, 'help', '') or '')}{shown} |")
    return "\n".join(rows)


def preset_file(name: str) -> str:
    """A preset as it stands in its file."""
    return f"```yaml\n{(FOLDER / f'{name}.yaml').read_text(encoding='utf-8')}```"


def cell(text: str) -> str:
    """Text that does not end a table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
