"""Text to tokens and back, once, in one place.

A text that does not survive the round trip is an error: an unknown token would be trained on in silence.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from posttrain.errors import UserError
from posttrain.types import REJECTED, Demonstration, Example

if TYPE_CHECKING:
    from collections.abc import Sequence


class Text:
    """A Hugging Face fast tokenizer with the three things that training needs of it.

    Args:
        tokenizer: a fast tokenizer (it must report character offsets) with an end-of-sequence token.
    """

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.eos_token_id is None:
            raise UserError("the tokenizer has no end-of-sequence token; set eos_token in tokenizer_config.json")
        if not tokenizer.is_fast:
            raise UserError("the tokenizer is not a fast one; convert it to tokenizer.json first")
        self.tokenizer = tokenizer
        # Called itself: the wrapper around it spends several times as long on what only batches need.
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.end: int = int(tokenizer.eos_token_id)

    def encode(self, text: str) -> Tensor:
        """Int["l"] tokens of ``text``, nothing added.

        Raises:
            UserError: the text does not come back from its tokens.
        """
        tokens, _ = self._encode_with_spans(text)
        return torch.tensor(tokens, dtype=torch.long)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of :meth:`encode` begins and ends in ``text``, in characters; some tokenizers overlap them.

        Raises:
            UserError: the text does not come back from its tokens.
        """
        return self._encode_with_spans(text)[1]

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """The text of ``tokens``, special tokens left out."""
        return self._decode(tokens, skip_special_tokens=True)

    def verbatim(self, tokens: Tensor | Sequence[int]) -> str:
        """The text of ``tokens`` with its special tokens: a chat's own markers are part of its text."""
        return self._decode(tokens, skip_special_tokens=False)

    def token(self, text: str) -> int:
        """The one token that ``text`` is.

        Raises:
            UserError: it is several, none, unknown to the tokenizer, or the end-of-sequence token.
        """
        tokens = self.encode(text).tolist()
        if len(tokens) != 1 or tokens[0] == self.end:
            what = "its end-of-sequence token" if tokens == [self.end] else f"{len(tokens)} tokens"
            raise UserError(f"{text!r} has to be one token of the tokenizer, but is {what}; choose another text")
        return int(tokens[0])

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are, special ones included; they are numbered from 0."""
        return len(self.tokenizer)

    def demonstration(self, demonstration: Demonstration) -> tuple[Tensor, list[int]]:
        """The demonstration as one token sequence, and where its chunks end in it.

        The text is tokenised once as a whole, so a hint is a slice of exactly the tokens that supervised fine-tuning
        sees; a token that reaches over a boundary belongs to the later chunk.

        Returns:
            Int["l"] tokens without end-of-sequence, and for k = 0 … len(chunks) + 1 the number of tokens in the first
            k chunks (the tail counts as the last chunk).

        Raises:
            UserError: the text does not come back from its tokens, or contains the end-of-sequence token.
        """
        tokens, spans = self._encode_with_spans(demonstration.text)
        if self.end in tokens:
            raise UserError(
                f"a demonstration contains the end-of-sequence token {self.tokenizer.eos_token!r}, which training puts "
                f"after it by itself; leave it out: {demonstration.text[:120]!r}"
            )
        boundaries, characters, ends = [0], 0, sorted(end for _, end in spans)
        for chunk in (*demonstration.chunks, demonstration.tail):
            characters += len(chunk)
            boundaries.append(bisect_right(ends, characters))
        boundaries[-1] = len(tokens)
        return torch.tensor(tokens, dtype=torch.long), boundaries

    def length(self, example: Example) -> int:
        """Tokens of the prompt and its longest demonstration or rejected answer, end-of-sequence included."""
        written = [d.text for d in example.demonstrations]
        written += [str(example.facts[REJECTED])] if REJECTED in example.facts else []
        longest = max((len(self.encode(text)) for text in written), default=0)
        return len(self.encode(example.prompt)) + longest + 1

    def _encode_with_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        encoded = self._backend.encode(text, add_special_tokens=False)
        tokens: list[int] = encoded.ids
        back = self.verbatim(tokens)  # with special tokens, so that an unknown one shows itself
        if back.lstrip(" ") != text.lstrip(" "):
            raise UserError(
                f"the tokenizer cannot represent this text: {text[:120]!r} comes back as {back[:120]!r}; "
                "use a model whose tokenizer covers it"
            )
        return tokens, encoded.offsets

    def _decode(self, tokens: Tensor | Sequence[int], *, skip_special_tokens: bool) -> str:
        numbers = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
        return str(self._backend.decode(numbers, skip_special_tokens=skip_special_tokens))
