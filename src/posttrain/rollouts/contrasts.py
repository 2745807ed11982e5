"""The source of fault-aware fine-tuning: demonstrations beside faulty variants of them, the differences marked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.errors import UserError
from posttrain.protocols import Engine
from posttrain.rollouts.assemble import given
from posttrain.rollouts.differences import Marks, contrast
from posttrain.sampling import Sampling
from posttrain.text import Text
from posttrain.types import Demonstration, Example, Progress, Rollout

FAULTY = "faulty"
"""The fact of an example that holds one faulty variant per demonstration, or none where there is none."""


@dataclass(frozen=True)
class Contrasts:
    """A group per example: every demonstration, followed by its faulty variant where it has one.

    The variants are ``example.facts["faulty"]``, a text or ``None`` per demonstration. Labels say who belongs together:
    ``pair`` numbers the demonstrations, ``faulty`` is 1 for a variant, ``paired`` is 1 where there is one. Signals
    ``fault/line`` and ``fault/token`` are 1 on tokens that overlap a line or a character in which the two differ, else
    0. A variant is there to be compared with: a selection has to leave it out of training.
    """

    provides = frozenset({"fault/line", "fault/token"})

    def __call__(
        self, examples: Sequence[Example], engine: Engine, text: Text, sampling: Sampling, now: Progress
    ) -> list[tuple[Rollout, ...]]:
        """A group per example; the engine is not used.

        Raises:
            UserError: the variants of an example are not one per demonstration.
        """
        return [tuple(_group(example, text)) for example in examples]


def variants(example: Example) -> Sequence[str | None]:
    """The faulty variant of each demonstration of an example.

    Raises:
        UserError: they are not one per demonstration.
    """
    count = len(example.demonstrations)
    found: Sequence[str | None] = example.facts.get(FAULTY, (None,) * count)
    if isinstance(found, str) or len(found) != count:
        raise UserError(f"example {example.id!r} needs one faulty variant, or none, for each of {count} demonstrations")
    return found


def _group(example: Example, text: Text) -> list[Rollout]:
    group = []
    for number, (demonstration, faulty) in enumerate(zip(example.demonstrations, variants(example))):
        labels = {"hint_fraction": 1.0, "pair": float(number), "faulty": 0.0, "paired": float(faulty is not None)}
        marks = contrast(demonstration.text, demonstration.text if faulty is None else faulty)
        group.append(_marked(example, text, demonstration, marks.correct, labels))
        if faulty is not None:
            group.append(_marked(example, text, Demonstration((faulty,)), marks.faulty, {**labels, "faulty": 1.0}))
    return group


def _marked(
    example: Example, text: Text, demonstration: Demonstration, marks: Marks, labels: dict[str, float]
) -> Rollout:
    prompt, end = text.encode(example.prompt), torch.tensor([text.end])
    written = torch.cat([text.demonstration(demonstration)[0], end])
    spans = text.spans(demonstration.text)
    signals = {
        "fault/line": _on_tokens(marks.lines, spans, len(prompt)),
        "fault/token": _on_tokens(marks.characters, spans, len(prompt)),
    }
    return dataclasses.replace(given(example, text, prompt, written, labels), signals=signals)


def _on_tokens(marks: Sequence[bool], spans: Sequence[tuple[int, int]], prompt: int) -> Tensor:
    """Float["l"]: 1 on tokens that overlap a marked character; neither the prompt's nor the end-of-sequence token."""
    flags = [float(any(marks[start:end])) for start, end in spans]
    return torch.tensor([0.0] * prompt + flags + [0.0])
