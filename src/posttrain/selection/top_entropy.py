"""Train only those tokens of a demonstration at which the policy is most undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posttrain.selection.candidates import Memoryless, emphasised
from posttrain.types import Origin, Progress, TrainingSequence


@dataclass(frozen=True)
class TopEntropy:
    """Prefix-RFT's mask (2507.01679, released code): of n given tokens the ``int(n masked)`` least uncertain are left.

    Uncertainty is the entropy of the prediction by the policy as it stands before the step's first update. A masked
    token keeps its place in the denominator of a share that counts members, as if its advantage were 0. Tokens of
    other origins are not touched. The released code ranks the tokens of a micro-batch, so that its result depends on
    how a batch is cut; here it is the whole collection, or each sequence by itself.

    Args:
        term: the name of the term whose given tokens are masked.
        masked: which part of them is left out, 0 … 1 (0.8: the top fifth is trained).
        within: what is ranked together, all given tokens of the step's collection or those of one sequence.
    """

    term: str
    masked: float = 0.8
    within: Literal["collection", "sequence"] = "collection"
    needs = frozenset({"old_entropy"})

    def __post_init__(self) -> None:
        """Refuse what is no fraction."""
        if not 0 <= self.masked <= 1:
            raise ValueError(f"masked is a fraction of the given tokens, between 0 and 1, got {self.masked}")

    @property
    def emphasises(self) -> frozenset[str]:
        """The term whose tokens are masked."""
        return frozenset({self.term})

    def start(self, seed: int) -> Memoryless:
        """Nothing is drawn and nothing remembered."""
        return Memoryless(self._mask)

    def _mask(self, sequences: Sequence[TrainingSequence], now: Progress) -> list[TrainingSequence]:
        """All sequences; those with given tokens with 0 or 1 on every token."""
        given = [s for s in sequences if bool((s.origin == int(Origin.GIVEN)).any())]
        ranked = [given] if self.within == "collection" and given else [[s] for s in given]
        factors = {uid: mask for together in ranked for uid, mask in self._factors(together).items()}
        return [emphasised(s, self.term, factors[s.uid]) if s.uid in factors else s for s in sequences]

    def _factors(self, sequences: Sequence[TrainingSequence]) -> dict[int, Tensor]:
        masks = [s.origin == int(Origin.GIVEN) for s in sequences]
        entropies = torch.cat([s.signals["old_entropy"][mask] for s, mask in zip(sequences, masks)])
        kept = torch.ones_like(entropies)
        # Stable, so that equal entropies are broken by place and not by how sorting happens to be implemented.
        kept[entropies.argsort(stable=True)[: int(len(entropies) * self.masked)]] = 0.0
        parts = torch.split(kept, [int(mask.sum()) for mask in masks])
        return {
            s.uid: torch.ones(len(s.tokens), dtype=kept.dtype).masked_scatter(mask, part)
            for s, mask, part in zip(sequences, masks, parts)
        }
