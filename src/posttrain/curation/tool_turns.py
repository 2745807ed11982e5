"""Conversations with tools become single turns to imitate, those whose call failed left out."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.errors import UserError
from posttrain.rewards.tool_calls import PREFILLED
from posttrain.types import Demonstration, Example

TURNS = "turns"
"""The fact that holds a prompt in parts: pairs of a speaker and a text, verbatim and in order."""
ASSISTANT, TOOL = "assistant", "tool"

MARKERS = (
    "error",
    "is not defined",
    "positional argument",
    "unexpected keyword",
    "not supported",
    "invalid api call",
    "is not json serializable",
    "slice indices must be integers",
    "related_searches",
)
"""What the output of a failed call says; the released code's list without entries that contain another."""


@dataclass(frozen=True)
class SuccessfulTurns:
    """MAE of TL-Training (2412.15495): one example per assistant turn, except for turns that called in vain.

    The prompt of an example may be a conversation: ``facts["turns"]`` are its parts, and the example's demonstration is
    the last assistant turn. Every earlier assistant turn becomes an example of its own, whose prompt is what was said
    before it and whose answer is the turn itself, if the output of a tool follows it and has none of the markers. A
    failed call thus stays where later turns can see it, but nobody learns to make it. Examples without turns stay.

    Args:
        markers: texts in the output of a tool that say that its call failed, compared by letters and digits alone,
            whatever their case; without any, every turn that a tool answers is imitated.

    Raises:
        ValueError: a marker of which nothing would be left to compare, so that every output would have it.
    """

    markers: tuple[str, ...] = MARKERS

    def __post_init__(self) -> None:
        """Refuse a marker that would make every call a failed one."""
        blank = [marker for marker in self.markers if not _bare(marker)]
        if blank:
            raise ValueError(
                f"a marker needs a letter a-z, a digit or a Chinese character, got {blank[0]!r}; leave it out"
            )

    def __call__(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        """The turns of each conversation in their order, its own last turn behind them.

        Raises:
            UserError: the turns of an example are not its prompt.
        """
        return tuple(turn for example in examples for turn in (*self._earlier(example), example))

    def failed(self, output: str) -> bool:
        """Whether the output of a tool says that its call failed."""
        return any(_bare(marker) in _bare(output) for marker in self.markers)

    def _earlier(self, example: Example) -> list[Example]:
        turns = _turns(example)
        made = []
        for k, ((speaker, text), (answering, output)) in enumerate(itertools.pairwise(turns)):
            if speaker == ASSISTANT and answering == TOOL and not self.failed(output):
                made.append(_turn(example, k, "".join(said for _, said in turns[:k]), text))
        return made


def _turns(example: Example) -> Sequence[tuple[str, str]]:
    turns = example.facts.get(TURNS, ())
    pairs = all(isinstance(turn, list | tuple) and len(turn) == 2 for turn in turns)
    if turns and (not pairs or "".join(str(text) for _, text in turns) != example.prompt):
        raise UserError(
            f"the turns of example {example.id!r} are not its prompt, cut into pairs of a speaker and a text"
        )
    return [(speaker, text) for speaker, text in turns]


def _turn(example: Example, number: int, prompt: str, text: str) -> Example:
    # The beginning of a call that the whole prompt ends with is that of the last turn alone.
    facts = {name: value for name, value in example.facts.items() if name not in (TURNS, PREFILLED)}
    demonstrations = (Demonstration((text,)),)
    return dataclasses.replace(
        example,
        id=f"{example.id}/turn {number}",
        prompt=prompt,
        answer=text.strip(),
        demonstrations=demonstrations,
        facts=facts,
    )


def _bare(text: str) -> str:
    """Letters and digits, CJK characters included."""
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]", "", text.lower())
