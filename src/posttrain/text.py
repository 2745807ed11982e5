"""Text to tokens and back, once, in one place.

A text that does not survive the round trip is an error: an unknown token would be trained on in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from posttrain.errors import UserError
from posttrain.types import Demonstration, Example

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
        self.end: int = int(tokenizer.eos_token_id)

    def encode(self, text: str) -> Tensor:
        """Int["l"] tokens of ``text``, nothing added.

        Raises:
            UserError: the text does not come back from its tokens.
        """
        tokens, _ = self._encode_with_ends(text)
        return torch.tensor(tokens, dtype=torch.long)

    def decode(self, tokens: Tensor | Sequence[int]) -> str:
        """The text of ``tokens``, special tokens left out."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

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
        tokens, ends = self._encode_with_ends(demonstration.text)
        if self.end in tokens:
            raise UserError(
                f"a demonstration contains the end-of-sequence token {self.tokenizer.eos_token!r}, which training puts "
                f"after it by itself; leave it out: {demonstration.text[:120]!r}"
            )
        boundaries, characters = [0], 0
        for chunk in (*demonstration.chunks, demonstration.tail):
            characters += len(chunk)
            boundaries.append(sum(1 for end in ends if end <= characters))
        boundaries[-1] = len(tokens)
        return torch.tensor(tokens, dtype=torch.long), boundaries

    def length(self, example: Example) -> int:
        """Tokens of the prompt and its longest demonstration or rejected answer, end-of-sequence included."""
        written = [d.text for d in example.demonstrations]
        written += [str(example.facts["rejected"])] if "rejected" in example.facts else []
        longest = max((len(self.encode(text)) for text in written), default=0)
        return len(self.encode(example.prompt)) + longest + 1

    def _encode_with_ends(self, text: str) -> tuple[list[int], list[int]]:
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        tokens: list[int] = encoded["input_ids"]
        # Special tokens are kept: a chat's own markers are part of its text, and an unknown token shows itself.
        back = str(self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))
        if back.lstrip(" ") != text.lstrip(" "):
            raise UserError(
                f"the tokenizer cannot represent this text: {text[:120]!r} comes back as {back[:120]!r}; "
                "use a model whose tokenizer covers it"
            )
        return tokens, [end for _, end in encoded["offset_mapping"]]
