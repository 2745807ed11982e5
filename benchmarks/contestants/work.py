"""What all contestants are given: the work, its texts and its rewards; standard library only, for any environment."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["sft", "grpo", "sampling", "uft"]
FIRST_CHARACTER = 0x20000
"""Token ``i`` is the character this far into Unicode, so that a text has exactly as many tokens as characters."""
END = 0
"""The end-of-sequence token; the models cannot sample it."""


@dataclass(frozen=True)
class Work:
    """One thing that is timed; the same for every contestant.

    Args:
        name: of the work, and of its file of results.
        kind: what a repetition does: one training step, or one call of the sampler.
        size: of the model, a name of ``models.SIZES``.
        vocabulary: of the model.
        prompt_tokens, completion_tokens: of every sequence; nothing ends early, nothing is padding. The completion of
            ``sft`` ends with the end-of-sequence token.
        hint_tokens: leading tokens of the completion that are given (``uft``).
        prompts: in a repetition.
        completions: per prompt.
        live_groups: prompts whose completions get different rewards; all others get 0.
    """

    name: str
    kind: Kind
    size: str
    vocabulary: int
    prompt_tokens: int
    completion_tokens: int
    prompts: int
    completions: int = 1
    hint_tokens: int = 0
    live_groups: int = 0

    @property
    def rows(self) -> int:
        """Sequences in a repetition."""
        return self.prompts * self.completions

    @property
    def sampled_tokens(self) -> int:
        """Tokens that a repetition samples."""
        return 0 if self.kind == "sft" else self.rows * (self.completion_tokens - self.hint_tokens)

    @property
    def tokens(self) -> int:
        """What a rate counts: all tokens of a supervised step, the sampled ones of everything else."""
        if self.kind == "sft":
            return self.rows * (self.prompt_tokens + self.completion_tokens)
        return self.sampled_tokens

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Work:
        """The inverse of :meth:`to_json`."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Row:
    """A prompt, what a demonstration says after it (without its end), and whether its group has variance."""

    prompt: list[int]
    completion: list[int]
    live: bool


def rows(work: Work, repetition: int) -> list[Row]:
    """The prompts of one repetition; other ones in every repetition, so that nobody remembers them."""
    numbers = random.Random(f"{work.name}/{repetition}")

    def written(length: int) -> list[int]:
        return [numbers.randrange(1, work.vocabulary) for _ in range(length)]

    live = set(numbers.sample(range(work.prompts), work.live_groups))
    return [
        Row(written(work.prompt_tokens), written(work.completion_tokens - 1), i in live) for i in range(work.prompts)
    ]


def text(tokens: list[int]) -> str:
    """The characters of ``tokens``."""
    return "".join(chr(FIRST_CHARACTER + token) for token in tokens)


def reward(completion: str, live: bool) -> float:
    """Between 0 and 1, different for different completions of a live group; 0 everywhere else."""
    return zlib.crc32(completion.encode()) / 2**32 if live else 0.0
