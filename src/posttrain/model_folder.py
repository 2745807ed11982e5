"""Whether a folder can be a model, found out without loading anything."""

from __future__ import annotations

import json
from pathlib import Path

from posttrain.errors import UserError

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def check_model_folder(folder: Path) -> None:
    """Refuse a path that cannot be a causal language model with its tokenizer.

    Raises:
        UserError: it is no folder, or lacks configuration, tokenizer or weights.
    """
    if not folder.is_dir():
        raise UserError(f"there is no model folder {str(folder)!r}; give one in Hugging Face format, or 'embedded'")
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
