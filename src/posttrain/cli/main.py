"""The command ``posttrain``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from posttrain import __version__
from posttrain.cli import comparing, demonstrating, evaluating, failures, listing, pretraining, running, showing, theory
from posttrain.errors import UserError, unknown

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of everything wrong with a command line; typer exports its subclass only."""

app = typer.Typer(
    name="posttrain",
    help="Post-training of language models: methods as compositions of a few parts in one loop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demonstrating.demo)
app.command("run")(running.run)
app.command("compare")(comparing.compare)
app.command("evaluate")(evaluating.evaluate)
app.command("theory")(theory.theory)
app.command("pretrain")(pretraining.pretrain)
app.command("list")(listing.list_methods)
app.command("show")(showing.show)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point: 0 when done, 1 after an internal error, 2 for bad input, 130 when interrupted."""
    sys.excepthook = failures.record_crash
    # The bars of transformers would be drawn into ours; it reads this when it is imported, also in worker processes.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    sys.exit(exit_code(sys.argv[1:] if arguments is None else arguments))


def exit_code(arguments: Sequence[str]) -> int:
    """Carry out a command; bad input has been answered in a sentence when this returns, other errors come through."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="posttrain", standalone_mode=False)
    except UserError as error:
        failures.say(str(error))
        return failures.BAD_INPUT
    except USAGE_ERROR as error:
        return _wrong_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        code = failures.INTERRUPTED
    if code == failures.INTERRUPTED:
        failures.say("interrupted")
    return code if isinstance(code, int) else 0


def _wrong_usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return failures.BAD_INPUT  # the help was printed when the error was made
    written = getattr(error, "option_name", None)
    near = getattr(error, "possibilities", None)
    if written and near:
        sentence = str(unknown("option", written, near))
    else:
        sentence = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    where = context.command_path if context else "posttrain"
    failures.say(f"{sentence[:1].lower()}{sentence[1:]} (see {where} --help)")
    return failures.BAD_INPUT


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Post-training of language models: methods as compositions of a few parts in one loop."""


if __name__ == "__main__":
    main()
