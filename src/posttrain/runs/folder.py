"""A run's folder on disk: every file is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.errors import UserError

RECIPE, METRICS, ROLLOUTS, EVALUATIONS = "recipe.yaml", "metrics.jsonl", "rollouts.jsonl", "evaluations.jsonl"
SUMMARY, HELDOUT, CHECKPOINT, REPORT, LOG = "summary.json", "heldout.jsonl", "checkpoint", "report.html", "log.txt"
BASE, INTERLUDES, PROFILE = "base.json", "interludes.jsonl", "profile.jsonl"


def check_unused(path: Path) -> None:
    """Refuse, without touching anything, a path that cannot become the folder of a new run.

    Raises:
        UserError: something is in it already, or it is a file.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{str(path)!r} is a file; give a folder with --out")
    if path.exists() and any(entry.name != LOG for entry in path.iterdir()):
        remedy = f"continue it with --resume {path}" if (path / RECIPE).exists() else "choose another with --out"
        raise UserError(f"the output folder {str(path)!r} is in use; {remedy}")


def claim(path: Path) -> None:
    """Create the folder of a new run.

    Raises:
        UserError: something is in it already, or it cannot be made.
    """
    check_unused(path)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the file system's refusals into a sentence with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space is left to write {str(path)!r}; free some, then go on with --resume") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise UserError(f"{str(path)!r} cannot be written: {error.strerror}; choose another folder") from error
        raise


def write_text(path: Path, content: str) -> None:
    """Write a file whole: to a temporary neighbour, then renamed into place."""
    with disk_errors(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole; ``nan`` becomes ``null``, which is what JSON has for unknown."""
    write_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def plain(content: Any) -> Any:
    """``content`` with every non-finite number replaced by ``None``."""
    if isinstance(content, float):
        return content if content == content and abs(content) != float("inf") else None
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [plain(value) for value in content]
    return content


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a JSON-lines file whole."""
    write_text(path, _lines(rows))


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(plain(row), allow_nan=False, ensure_ascii=False) + "\n" for row in rows)


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines; if the disk is full, the file keeps exactly what it had."""
    lines = _lines(rows)
    before = path.stat().st_size if path.exists() else 0
    with disk_errors(path):
        try:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(lines)
        except OSError:
            os.truncate(path, before)
            raise


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; none if it does not exist. A last row that was torn off is left out."""
    if not path.exists():
        return []
    # Not splitlines: what a model wrote may hold separators that it would take for the end of a row.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def keep_rows_until(path: Path, step: int) -> None:
    """Drop the rows of steps after ``step``: what a resumed run will write again."""
    if path.exists():
        write_rows(path, [row for row in read_rows(path) if row["step"] <= step])


def put_back(path: Path) -> None:
    """Undo a replacement that was broken off when the old folder had gone and the new one was not there yet."""
    old = _old(path)
    if old.is_dir() and not path.exists():
        old.rename(path)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


@contextlib.contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``path`` when everything in it has been written."""
    with disk_errors(path):
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            put_back(path)
            old = _old(path)
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                path.rename(old)
            temporary.chmod(0o755)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
