"""Demonstrations of tool calls whose decisive tokens weigh more: those that tell the tool from the others on offer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.sampling import Sampling
from posttrain.signals import EMPHASIS
from posttrain.text import Text
from posttrain.types import TOOLS, Demonstration, Example, Progress, Rollout


@dataclass(frozen=True)
class KeyTokens:
    """PKT of TL-Training (2412.15495): demonstrations whose key tokens weigh ``clip(others / keys, 1, largest)``.

    Key tokens of a call are the first token of the tool's name, and for every other offered tool whose tokens begin
    alike the one at which the two part; where a name is the beginning of the other that is the token behind it. The
    others are the call's remaining tokens up to end-of-sequence, without those that only close it, as in the released
    code; closing tokens, and all of a turn that calls no offered tool, weigh 1. Everything is counted in tokens of the
    tokenizer at hand.

    Args:
        largest: the largest weight (9); up to 1 every token weighs 1.
        closing: characters that close a value or a call; tokens of nothing else are not counted (released code; the
            paper's figure counts them: ``""``).
        term: the term of the loss.
    """

    largest: float = 9.0
    closing: str = "'\")"
    term: str = "likelihood"

    @property
    def provides(self) -> frozenset[str]:
        """The emphasis in its term."""
        return frozenset({f"{EMPHASIS}{self.term}"})

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group per example, a rollout per demonstration; the engine is not used."""
        return [tuple(self._rollout(example, d, text) for d in example.demonstrations) for example in examples]

    def _rollout(self, example: Example, demonstration: Demonstration, text: Text) -> Rollout:
        prompt, end = text.encode(example.prompt), torch.tensor([text.end])
        written = torch.cat([text.demonstration(demonstration)[0], end])
        weights = self.weights(demonstration.text, tuple(example.facts.get(TOOLS, ())), text)
        signals = {f"{EMPHASIS}{self.term}": torch.tensor([1.0] * len(prompt) + weights, dtype=torch.float64)}
        return dataclasses.replace(given(example, text, prompt, written, {"hint_fraction": 1.0}), signals=signals)

    def weights(self, turn: str, tools: Sequence[str], text: Text) -> list[float]:
        """Of each token of a turn, and of the end-of-sequence token behind it."""
        spans = text.spans(turn)
        weights = [1.0] * (len(spans) + 1)
        called = called_tool(turn, tools)
        if called is None:
            return weights
        name, start = called
        first, keys = key_tokens(turn, name, start, tools, text)
        counted = [t for t in range(first, len(weights)) if t not in keys]
        others = sum(1 for t in counted if t == len(spans) or not self._closes(turn[slice(*spans[t])]))
        for t in keys:
            weights[t] = max(1.0, min(others / len(keys), self.largest))
        return weights

    def _closes(self, token: str) -> bool:
        return bool(token.strip()) and set(token.strip()) <= set(self.closing)


def called_tool(turn: str, tools: Iterable[str]) -> tuple[str, int] | None:
    """The offered tool that a turn calls first, and where its name begins; ``None`` if it calls none."""
    found = [(name, re.search(rf"(?<![\w.]){re.escape(name)}(?=\s*\()", turn)) for name in tools]
    calls = [(match.start(), name) for name, match in found if match is not None]
    if not calls:
        return None
    start, name = min(calls)
    return name, start


def key_tokens(turn: str, name: str, start: int, tools: Iterable[str], text: Text) -> tuple[int, frozenset[int]]:
    """The first token of the name, and the key tokens of the call, as indices into the turn's tokens."""
    tokens = text.encode(turn).tolist()
    first = next(t for t, (_, end) in enumerate(text.spans(turn)) if end > start)
    keys = {first}
    for other in set(tools) - {name}:
        instead = text.encode(f"{turn[:start]}{other}{turn[start + len(name) :]}").tolist()
        parting = next((t for t, (a, b) in enumerate(zip(tokens, instead)) if a != b), len(tokens))
        if first < parting < len(tokens):
            keys.add(parting)
    return first, frozenset(keys)
