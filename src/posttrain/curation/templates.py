"""Prompts made of the parts of an example."""

from __future__ import annotations

import re
from collections.abc import Mapping


def filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with every ``{name}`` of a known part replaced; other braces, in parts too, stay as they are."""
    names = "|".join(map(re.escape, parts))
    return re.sub(rf"\{{({names})\}}", lambda found: parts[found[1]], template)
