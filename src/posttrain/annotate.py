"""Signals that are known before the update: what models say about the tokens, and the advantages of credit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from posttrain.batching import collate, microbatches
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import can_share
from posttrain.signals import OLD, role_and_quantity
from posttrain.stage import Stage, Stream
from posttrain.types import Origin, TrainingSequence


def annotate(
    sequences: Sequence[TrainingSequence], policy: Policy, frozen: Mapping[str, Policy], stage: Stage
) -> list[TrainingSequence]:
    """Add the signals of models and of credit.

    Credit that reads rewards only comes first, so that a sequence without advantage need not pass a model on account
    of the objectives that would have used it; credit that reads a model's signals comes last.

    Returns:
        The sequences in the same order, each with every signal that somebody reads of it (a model's as Float["l"] on
        all tokens but the prompt's).
    """
    by_rewards = [s for s in stage.streams if s.credit is not None and not s.credit.needs]
    by_signals = [s for s in stage.streams if s.credit is not None and s.credit.needs]
    known = _with_credit(sequences, by_rewards)
    for role, quantities in _by_role(stage.signals_needed).items():
        wanted = {q: {s.uid for s in _readable(known, f"{role}_{q}", stage)} for q in quantities}
        read = [s for s in known if any(s.uid in uids for uids in wanted.values())]
        model = policy if role == OLD else frozen[role]
        found = _quantities(read, quantities, model, stage.tokens_per_microbatch)
        known = [_with(s, {f"{role}_{q}": found[q][s.uid] for q in quantities if s.uid in wanted[q]}) for s in known]
    return _with_credit(known, by_signals)


def _by_role(signals: Iterable[str]) -> dict[str, list[str]]:
    """Per model the quantities that are asked of it, so that each model runs once."""
    asked: dict[str, list[str]] = {}
    for role, quantity in sorted(meant for meant in map(role_and_quantity, signals) if meant is not None):
        asked.setdefault(role, []).append(quantity)
    return asked


def _readable(sequences: Sequence[TrainingSequence], signal: str, stage: Stage) -> list[TrainingSequence]:
    """The sequences of which somebody reads the signal; an objective that is inert on a sequence does not."""
    if stage.selection is not None and signal in stage.selection.needs:
        return list(sequences)
    credited = {s.name for s in stage.streams if s.credit is not None and signal in s.credit.needs}
    # Where advantages come from signals, nothing is known of a sequence's inertness yet.
    open_ = {s.name for s in stage.streams if s.credit is not None and s.credit.needs}
    readers = stage.readers(signal)

    def is_read(sequence: TrainingSequence) -> bool:
        if sequence.stream in credited:
            return True
        return any(t.reads(sequence) and (sequence.stream in open_ or not t.objective.inert(sequence)) for t in readers)

    return [s for s in sequences if is_read(s)]


def _quantities(
    sequences: Sequence[TrainingSequence], quantities: Sequence[str], model: Policy, tokens_per_microbatch: int
) -> dict[str, dict[int, Tensor]]:
    """Per quantity, by the sequences' ``uid``: Float["l"]."""
    found: dict[str, dict[int, Tensor]] = {quantity: {} for quantity in quantities}
    for rows in microbatches(sequences, tokens_per_microbatch, beside_each_other=can_share(model.model)):
        batch = collate(rows, model.text.end, model.device)
        positions = batch.origin != int(Origin.PROMPT)
        positions[:, 0] = False
        with torch.no_grad():
            forward = Forward(model, batch, positions)
            for quantity, values in found.items():
                of_rows = _OF_FORWARD[quantity](forward)
                values |= {s.uid: row[: len(s.tokens)].cpu() for s, row in zip(rows, of_rows)}
    return found


_OF_FORWARD: dict[str, Callable[[Forward], Tensor]] = {
    "logprobs": lambda forward: forward.logprobs,
    "entropy": lambda forward: forward.entropy,
    "values": lambda forward: forward.values,
}


def _with_credit(sequences: Sequence[TrainingSequence], streams: Sequence[Stream]) -> list[TrainingSequence]:
    out = list(sequences)
    for stream in streams:
        mine = [i for i, s in enumerate(out) if s.stream == stream.name]
        made = stream.credit([out[i] for i in mine]) if stream.credit is not None and mine else []
        for i, signals in zip(mine, made, strict=True):
            out[i] = _with(out[i], signals)
    return out


def _with(sequence: TrainingSequence, signals: Mapping[str, Tensor]) -> TrainingSequence:
    return dataclasses.replace(sequence, signals={**sequence.signals, **signals})
