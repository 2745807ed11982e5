"""The prompt that UFT's authors put around every question (arXiv 2505.16984, released code and data).

It speaks to a base model as plain text, without a chat template, and ends inside an opened ``<think>``.
"""

from __future__ import annotations

_BEFORE = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. "
    "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer.\n"
    "User: "
)
_AFTER = ".\nAssistant: Let me solve this step by step.\n<think> "


def reasoning_prompt(question: str, sample_answer: str) -> str:
    """The whole prompt for a question, with a sample of how an answer is written."""
    request = (
        "Show your work in <think> </think> tags. "
        f"And return the final answer in <answer> </answer> tags, for example <answer> {sample_answer} </answer>"
    )
    return f"{_BEFORE}{question} {request}{_AFTER}"


def answer_tail(answer: str) -> str:
    """The block that closes the reasoning and states the answer."""
    return f" </think>\n<answer> {answer} </answer>"
