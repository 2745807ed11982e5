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
        readings=(
            "What is masked has to be found from what stands on both sides of it, and that is the same knowledge which "
            "the question asks for, if the model has learnt to use it in both forms. Where all other facts are read "
            "plainly, it has not: it restores the masked facts and finds none of them backward.",
            "The facts that are read in both directions are what makes the inverse relations known; nobody else's "
            "direction is ever read for the facts that are asked.",
            "Seeds differ: 600 updates, a number fixed before the arms were compared, are not where it ends.",
        ),
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
