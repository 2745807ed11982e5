"""Where a text is thinking: behind the marker that opens it, until the marker that closes it stands there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from posttrain.text import Text

NOTHING = -1
"""Stands before texts that are shorter than the longest; no token has this number."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """How far each of r texts is in its thinking.

    Args:
        open: Bool["r"], whether it is thinking.
        matched: Int["r"], how many leading tokens of the stop marker it ends with, fewer than the marker has.
        thought: Int["r"], tokens since the thinking began, those ``matched`` not counted.
        following: Int["r"], the token with which the stop marker would begin, or go on.
    """

    open: Tensor
    matched: Tensor
    thought: Tensor
    following: Tensor


@dataclass(frozen=True)
class Thinking:
    """The part of a text between two markers, each of one or several tokens.

    The last start marker counts, so that a prompt may speak about the markers before one opens the thinking. Markers
    are found as runs of token ids: in a text whose tokenizer merges a marker with its neighbours they are not found.

    Args:
        stop: the token ids that end the thinking, such as those of ``</think>``.
        start: the token ids that begin it; ``None``: everything is thinking, which fits a ``stop`` that ends the
            whole text, the end-of-sequence token.
    """

    stop: tuple[int, ...]
    start: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse markers without tokens."""
        if not self.stop or self.start == ():
            raise ValueError("a marker needs at least one token; leave start out where everything is thinking")

    @classmethod
    def between(cls, text: Text, start: str, stop: str) -> Thinking:
        """The thinking between two markers given as text.

        Raises:
            UserError: the tokenizer cannot represent one of them.
        """
        return cls(tuple(text.encode(stop).tolist()), tuple(text.encode(start).tolist()))

    def stretch(self, texts: Sequence[Tensor]) -> Stretch:
        """How far ``texts``, each Int["l"], are."""
        padded = pad_sequence(list(texts), batch_first=True, padding_value=NOTHING, padding_side="left")
        rows, width = padded.shape
        began, is_open = self._began(texts, padded)
        is_open = is_open & (_behind_last(padded, self.stop) < began + len(self.stop))
        since = width - began
        matched = torch.zeros(rows, dtype=torch.long, device=padded.device)
        for count in range(1, min(len(self.stop), width + 1)):
            leading = torch.tensor(self.stop[:count], device=padded.device)
            matched[(padded[:, -count:] == leading).all(-1) & (since >= count)] = count
        following = torch.tensor(self.stop, device=padded.device)[matched]
        return Stretch(is_open, matched, since - matched, following)

    def _began(self, texts: Sequence[Tensor], padded: Tensor) -> tuple[Tensor, Tensor]:
        """Int["r"], the column at which the thinking began, and Bool["r"], whether it did."""
        if self.start is None:
            # Also behind an end-of-sequence token, which chats have within their prompts.
            began = torch.tensor([padded.shape[1] - len(text) for text in texts], device=padded.device)
            began = torch.maximum(began, _behind_last(padded, self.stop))
            return began, torch.ones_like(began, dtype=torch.bool)
        began = _behind_last(padded, self.start)
        return began, began > 0


def _behind_last(texts: Tensor, marker: tuple[int, ...]) -> Tensor:
    """Int["r"]: the column behind the last occurrence of ``marker`` in each row of Int["r l"], 0 if there is none."""
    size, width = len(marker), texts.shape[1]
    if width < size:
        return torch.zeros(len(texts), dtype=torch.long, device=texts.device)
    found = (texts.unfold(1, size, 1) == torch.tensor(marker, device=texts.device)).all(-1)
    return (found * torch.arange(size, width + 1, device=texts.device)).amax(-1)
