"""Signals that are known before the update: what models say about the tokens, and the advantages of credit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from posttrain.batching import collate, microbatches
from posttrain.policy import Forward, Policy
from posttrain.signals import OLD, computed, role_and_quantity
from posttrain.stage import Stage, Stream
from posttrain.types import Origin, TrainingSequence


def annotate(
    sequences: Sequence[TrainingSequence], policy: Policy, frozen: Mapping[str, Policy], stage: Stage
) -> tuple[list[TrainingSequence], int]:
    """Add the signals of models and of credit.

    Credit that reads rewards only comes first, so that a sequence without advantage need not pass a model on account
    of the objectives that would have used it; credit that reads a model's signals comes last.

    Returns:
        The sequences in the same order, each with every signal that somebody reads of it (a model's as Float["l"] on
        all tokens but the prompt's), and the number of tokens that passed a model.
    """
    by_rewards = [s for s in stage.streams if s.credit is not None and not s.credit.needs]
    by_signals = [s for s in stage.streams if s.credit is not None and s.credit.needs]
    known = _with_credit(sequences, by_rewards)
    tokens_passed = 0
    for signal in sorted(stage.signals_needed):
        read = _readable(known, signal, stage)
        values = dict(zip((s.uid for s in read), _values(read, signal, policy, frozen, stage.tokens_per_microbatch)))
        known = [_with(s, {signal: values[s.uid]}) if s.uid in values else s for s in known]
        tokens_passed += sum(len(s.tokens) for s in read)
    return _with_credit(known, by_signals), tokens_passed


def _readable(sequences: Sequence[TrainingSequence], signal: str, stage: Stage) -> list[TrainingSequence]:
    """The sequences of which somebody reads the signal; an objective that is inert on a sequence does not."""
    if stage.selection is not None and signal in stage.selection.needs:
        return list(sequences)
    credited = {s.name for s in stage.streams if s.credit is not None and signal in s.credit.needs}
    # Where advantages come from signals, nothing is known of a sequence's inertness yet.
    open_ = {s.name for s in stage.streams if s.credit is not None and computed(s.credit.needs)}
    readers = stage.readers(signal)

    def is_read(sequence: TrainingSequence) -> bool:
        if sequence.stream in credited:
            return True
        return any(t.reads(sequence) and (sequence.stream in open_ or not t.objective.inert(sequence)) for t in readers)

    return [s for s in sequences if is_read(s)]


def _values(
    sequences: Sequence[TrainingSequence],
    signal: str,
    policy: Policy,
    frozen: Mapping[str, Policy],
    tokens_per_microbatch: int,
) -> list[Tensor]:
    meant = role_and_quantity(signal)
    if meant is None:
        raise ValueError(f"no model computes the signal {signal!r}")
    role, quantity = meant
    model = policy if role == OLD else frozen[role]
    values: dict[int, Tensor] = {}
    for rows in microbatches(sequences, tokens_per_microbatch):
        batch = collate(rows, policy.text.end, policy.device)
        positions = batch.origin != int(Origin.PROMPT)
        positions[:, 0] = False
        with torch.no_grad():
            forward = Forward(model, batch, positions)
            found = {"logprobs": _logprobs, "entropy": _entropy, "values": _state_values}[quantity](forward)
        values |= {s.uid: row[: len(s.tokens)].cpu() for s, row in zip(rows, found)}
    return [values[s.uid] for s in sequences]


def _logprobs(forward: Forward) -> Tensor:
    return forward.logprobs


def _entropy(forward: Forward) -> Tensor:
    return forward.entropy


def _state_values(forward: Forward) -> Tensor:
    return forward.values


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
