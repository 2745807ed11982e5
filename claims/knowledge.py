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
            "What is masked has to be found from what stands on both sides of it, which is what the question asks for, "
            "if the model uses what it knows in both forms. Where all other facts are read plainly, it does not.",
            "Facts that are read in both directions make the inverse relations known; the facts that are asked are "
            "never read in that direction, by any arm.",
            "Where the rates cannot be told apart, as none of the questions is answered at either, arms have the rate "
            "that MFT has. The grid ends at that rate. Seeds differ widely.",
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
        readings=(
            "The languages share names and numerals, and the task's vector alone carries most of the way. A vector of "
            "the second language disturbs what the task's vector was learnt on: with it LT-SFT is less accurate in the "
            "first language as well.",
            "The rate of a language was chosen by how likely its texts become, which does not see that: for sparse "
            "vectors the largest rate of the grid, for all entries the smallest. Random entries, which lose the first "
            "language too, had the largest for both.",
            "The arm without a language's vector exists for LT-SFT alone.",
        ),
    ),
)
