"""Pairs of a correct demonstration and a similar, faulty one: given with the data, or made by small mutations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from posttrain.errors import UserError
from posttrain.rollouts.contrasts import FAULTY, variants
from posttrain.types import Example, Verify

Offers = Callable[[Example, int], Iterable[str]]
"""(example, number of a demonstration) -> texts that may be faulty variants of it."""

PIECE = re.compile(r"\d+|[^\W\d]\w*|\s+|[^\w\s]")
"""Numbers, names, runs of white space, single symbols."""


@dataclass(frozen=True)
class Given:
    """The variants that examples bring along, in ``facts["faulty"]``, as far as they are what they should be."""

    def __call__(self, examples: Sequence[Example], verify: Verify) -> tuple[Example, ...]:
        """The same examples; a variant stays where the demonstration passes and the variant fails.

        Raises:
            UserError: not one example has a pair.
        """

        def offered(example: Example, number: int) -> Iterable[str]:
            text = variants(example)[number]
            return () if text is None else (text,)

        return _with_pairs(examples, offered, verify)


@dataclass(frozen=True)
class Mutated:
    """Variants made from a demonstration by replacing pieces of it with others of their kind from the same data.

    Fewer changes are tried before more, so that a variant is as near as one can be found. White space is never
    replaced. The paper asks a stronger model for its variants; mutation is our reading of where there is none.

    Args:
        unit: what is replaced: numbers, names and symbols as wholes, or single characters.
        most_changes: pieces replaced at most (2).
        tries: variants tried per number of changes (8).
        seed: of the mutations.
    """

    unit: Literal["word", "character"] = "word"
    most_changes: int = 2
    tries: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what would make nothing."""
        if self.most_changes < 1 or self.tries < 1:
            raise ValueError("most_changes and tries must be at least 1")

    def __call__(self, examples: Sequence[Example], verify: Verify) -> tuple[Example, ...]:
        """The same examples with variants as facts, where one was found that fails.

        Raises:
            UserError: not one example has a pair.
        """
        texts = [d.text for example in examples for d in example.demonstrations]
        vocabulary: dict[str, list[str]] = {}
        for piece in sorted({piece for text in texts for piece in self._pieces(text)}):
            vocabulary.setdefault(_kind(piece), []).append(piece)

        def offered(example: Example, number: int) -> Iterable[str]:
            rng = Random(f"{self.seed}/{example.id}/{number}")
            return self._mutations(example.demonstrations[number].text, vocabulary, rng)

        return _with_pairs(examples, offered, verify)

    def _pieces(self, text: str) -> list[str]:
        return list(text) if self.unit == "character" else PIECE.findall(text)

    def _mutations(self, text: str, vocabulary: dict[str, list[str]], rng: Random) -> Iterator[str]:
        pieces = self._pieces(text)
        open_ = [i for i, piece in enumerate(pieces) if _kind(piece) and len(vocabulary[_kind(piece)]) > 1]
        for changes in range(1, min(self.most_changes, len(open_)) + 1):
            for _ in range(self.tries):
                mutated = list(pieces)
                for i in rng.sample(open_, changes):
                    others = [piece for piece in vocabulary[_kind(pieces[i])] if piece != pieces[i]]
                    mutated[i] = rng.choice(others)
                yield "".join(mutated)


def _kind(piece: str) -> str:
    """Pieces of a kind replace each other; white space is of none."""
    if piece.isspace():
        return ""
    if piece[0].isdigit():
        return "number"
    return "name" if piece[0].isalpha() else "symbol"


def _with_pairs(examples: Sequence[Example], offered: Offers, verify: Verify) -> tuple[Example, ...]:
    made = []
    for example in examples:
        found = [_faulty(example, number, offered, verify) for number in range(len(example.demonstrations))]
        made.append(dataclasses.replace(example, facts={**example.facts, FAULTY: tuple(found)}))
    if not any(text is not None for example in made for text in example.facts[FAULTY]):
        raise UserError(
            f"none of {len(made)} examples has a faulty variant of a correct demonstration; give some as the fact "
            f"{FAULTY!r}, or let more be tried"
        )
    return tuple(made)


def _faulty(example: Example, number: int, offered: Offers, verify: Verify) -> str | None:
    """The first variant on offer that fails where the demonstration passes."""
    if not verify(example.demonstrations[number].text, example).correct:
        return None
    return next((text for text in offered(example, number) if verify(text, example).correct is False), None)
