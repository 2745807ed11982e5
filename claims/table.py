"""The claims in the order of the page."""

from __future__ import annotations

from beyond import BEYOND
from claim import Claim
from compared import COMPARED
from knowledge import KNOWLEDGE
from unified import EMBEDDED, PUBLISHED

CLAIMS: tuple[Claim, ...] = (*EMBEDDED, *COMPARED, *BEYOND, *KNOWLEDGE, *PUBLISHED)
