"""Claims about what is learnt from texts alone: facts in both directions, a language."""

from __future__ import annotations

from claim import MEASURED_FILE, Claim

KNOWLEDGE = (
    Claim(
        "reversal",
        "The reversal curse: facts that are read in one direction, asked in the other",
        "python claims/reversal.py",
        (MEASURED_FILE,),
        "measured",
        method="mft",
        length="long",
    ),
    Claim(
        "languages",
        "Labels in one language, questions in another: vectors of the language and of the task, added",
        "python claims/languages.py",
        (MEASURED_FILE,),
        "measured",
        method="lt_sft",
        length="long",
    ),
)
