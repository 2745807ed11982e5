"""Online batch selection by utility and diversity: what a sequence's logits alone say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from posttrain.batching import collate
from posttrain.durations import Duration, Steps
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.selection.candidates import Quota, batches
from posttrain.selection.sketch import FourierSketch, Sketch
from posttrain.types import Origin, Progress, TrainingSequence

COLUMNS_AT_ONCE = 1 << 14
"""Columns of the logits that are widened to float64 at a time."""


@dataclass(frozen=True)
class UtilityDiversity:
    """UDS (2510.16882): of each batch of candidates, the best by ``utility * |L|_* + diversity * novelty``.

    L are a sequence's logits, Float["n v"]. Their nuclear norm is large where logits are large and their spectrum is
    spread out; the novelty is the mean distance of their sketch to those of the sequences that were kept before, first
    in first out, and 0 while there are none. Only kept sequences are remembered.

    Args:
        quota: how much of how many (1 of 4, the released script).
        utility: weight of the nuclear norm; 0 leaves the diversity alone.
        diversity: the paper's alpha, in the units of the sketch. 11.0 in isometric units is the released default of
            2.5e-3 at its vocabulary of 152,064 and 512 positions: alpha * sqrt(v * longest) / 2. 0 leaves the utility
            alone.
        memory: sequences that are remembered (1,024).
        compared_with: what a candidate should differ from; the paper's optional extra adds the mean distance to the
            other candidates, the released code does not have it.
        sketch: how logits are compared.
        positions: the tokens whose prediction counts: all of them as in the released code, or the response.
        begins: everything is kept, unscored and unremembered, before this point of the stage (0).
    """

    quota: Quota = Quota()
    utility: float = 1.0
    diversity: float = 11.0
    memory: int = 1024
    compared_with: Literal["memory", "memory and candidates"] = "memory"
    sketch: FourierSketch = FourierSketch()
    positions: Literal["all", "response"] = "all"
    begins: Duration = Steps(0)
    needs = frozenset[str]()
    emphasises = frozenset[str]()

    def __post_init__(self) -> None:
        """Refuse what could not choose."""
        if self.memory < 1:
            raise ValueError(f"memory must hold at least one sequence, got {self.memory}")
        if self.utility < 0 or self.diversity < 0 or self.utility == self.diversity == 0:
            raise ValueError("utility and diversity cannot be negative, nor both 0: selection/AtRandom chooses blindly")

    def start(self, seed: int) -> UtilityDiversitySession:
        """With an empty memory; the sketch is drawn from the seed."""
        return UtilityDiversitySession(self, seed)


class UtilityDiversitySession:
    """The selection at work.

    Args:
        settings: what it follows.
        seed: of the sketch.

    ``remembered`` are the sketches Float["m s"] of the sequences kept last, oldest first; ``kept`` counts them all.
    """

    def __init__(self, settings: UtilityDiversity, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self._sketch: Sketch | None = None
        self.remembered = torch.empty(0, settings.sketch.size)
        self.kept = 0

    def __call__(self, sequences: Sequence[TrainingSequence], policy: Policy, now: Progress) -> list[TrainingSequence]:
        """The best of each run of candidates; the policy reads every candidate once, without a gradient."""
        settings = self._settings
        if settings.quota.everything or now.step < settings.begins.of(now.total_steps):
            return list(sequences)
        chosen: list[TrainingSequence] = []
        for batch in batches(sequences, settings.quota.candidates):
            chosen += self._choose(batch, policy)
        return chosen

    def _choose(self, batch: Sequence[TrainingSequence], policy: Policy) -> list[TrainingSequence]:
        settings = self._settings
        looked = [self._look(sequence, policy) for sequence in batch]
        sketches = torch.stack([sketch for _, sketch in looked])
        novelty = self._novelty(sketches)
        scores = [utility + settings.diversity * new for (utility, _), new in zip(looked, novelty)]
        best = settings.quota.best(scores)
        self.remembered = torch.cat([self.remembered.to(sketches), sketches[best]])[-settings.memory :]
        self.kept += len(best)
        return [batch[i] for i in best]

    def _look(self, sequence: TrainingSequence, policy: Policy) -> tuple[float, Tensor]:
        """The weighted utility of one candidate and its sketch; what the settings weigh with 0 is not computed."""
        settings = self._settings
        logits = sequence_logits(sequence, policy, settings.positions)
        blank = torch.zeros(settings.sketch.size, dtype=logits.dtype)
        if not bool(torch.isfinite(logits).all()):
            return float("inf"), blank  # chosen first, so that the loop stops at it
        utility = settings.utility * nuclear_norm(logits) if settings.utility else 0.0
        return utility, self._sketched(logits) if settings.diversity else blank

    def _sketched(self, logits: Tensor) -> Tensor:
        if self._sketch is None:
            self._sketch = self._settings.sketch.draw(logits.shape[1], self._seed, like=logits)
        return self._sketch(logits).cpu()

    def _novelty(self, vectors: Tensor) -> list[float]:
        others = self._settings.compared_with == "memory and candidates"
        novelty = []
        for index, vector in enumerate(vectors):
            value = mean_distance(vector, self.remembered)
            if others:
                value += mean_distance(vector, torch.cat([vectors[:index], vectors[index + 1 :]]))
            novelty.append(value)
        return novelty

    def state_dict(self) -> dict[str, Any]:
        """The memory; the sketch follows from the seed."""
        return {"remembered": self.remembered.clone(), "kept": self.kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what an earlier session did."""
        self.remembered, self.kept = state["remembered"].clone(), int(state["kept"])


def sequence_logits(sequence: TrainingSequence, policy: Policy, positions: Literal["all", "response"]) -> Tensor:
    """Float["n v"]: the logits that predict the sequence's tokens, alone and without padding."""
    batch = collate([sequence], policy.text.end, policy.device)
    read = batch.origin != int(Origin.PROMPT) if positions == "response" else torch.ones_like(batch.origin).bool()
    read[:, 0] = False
    with torch.no_grad():
        return Forward(policy, batch, read).logits


def nuclear_norm(matrix: Tensor) -> float:
    """The sum of the singular values, from the eigenvalues of the smaller Gram matrix.

    In float64: squaring loses half of the digits, and a sum over many small singular values would show it.
    """
    smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = torch.zeros(len(smaller), len(smaller), dtype=torch.float64, device=matrix.device)
    for at in range(0, smaller.shape[1], COLUMNS_AT_ONCE):
        wide = smaller[:, at : at + COLUMNS_AT_ONCE].double()
        gram += wide @ wide.T
    return float(torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().sum())


def mean_distance(vector: Tensor, others: Tensor) -> float:
    """Euclidean, of Float["s"] to Float["m s"]; 0 where there are no others."""
    return float((others.to(vector) - vector).norm(dim=1).double().mean()) if len(others) else 0.0
