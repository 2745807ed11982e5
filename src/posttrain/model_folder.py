"""Where a model's folder is, and whether it can be a model, found out without loading anything."""

from __future__ import annotations

import json
from pathlib import Path

from posttrain.errors import UserError

EMBEDDED = "embedded"
"""Names the tiny base model that is shipped inside the package."""
EMBEDDED_FOLDER = Path(__file__).parent / "embedded" / "model"
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def located(model: str) -> Path:
    """The folder of a model that a person named: a path, or ``embedded``."""
    return EMBEDDED_FOLDER if model == EMBEDDED else Path(model)


def check_model(model: str) -> None:
    """Refuse a model that is neither the embedded one nor a folder that holds one.

    Raises:
        UserError: with what is missing, and how to come by it.
    """
    if model != EMBEDDED:
        check_model_folder(Path(model))
    elif not (EMBEDDED_FOLDER / "config.json").is_file():
        raise UserError(
            f"the embedded model is missing from {str(EMBEDDED_FOLDER)!r}; make it again with "
            f"posttrain pretrain --out {EMBEDDED_FOLDER}, or give another with --model DIR"
        )


def check_model_folder(folder: Path) -> None:
    """Refuse a path that cannot be a causal language model with its tokenizer.

    Raises:
        UserError: it is no folder, or lacks configuration, tokenizer or weights.
    """
    if not folder.is_dir():
        raise UserError(f"there is no model folder {str(folder)!r}; give one in Hugging Face format, or {EMBEDDED!r}")
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise UserError(f"{str(folder)!r} is no model folder: it has no {name}")
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        raise UserError(f"{str(folder)!r} is no model folder: it has no weights (model.safetensors)")
    try:
        known = "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        known = False
    if not known:
        raise UserError(f"{str(folder)!r} is no model folder: its config.json names no model_type")
