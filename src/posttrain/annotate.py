"""Signals that need a pass of a model before the update: log-probabilities under old and frozen weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch

from posttrain.batching import collate, microbatches
from posttrain.policy import Forward, Policy
from posttrain.stage import Stage
from posttrain.types import Origin, TrainingSequence


def annotate(
    sequences: Sequence[TrainingSequence], policy: Policy, frozen: Mapping[str, Policy], stage: Stage
) -> tuple[list[TrainingSequence], int]:
    """Add the signals ``NAME_logprobs``: ``old`` is the policy as it stands, anything else a frozen policy.

    Returns:
        The sequences in the same order, each with every signal that a term reads of it as Float["l"] on all tokens but
        the prompt's, and the number of tokens that passed a model. A sequence on which every reader of a signal is
        inert goes without it.
    """
    out = {s.uid: s for s in sequences}
    tokens_passed = 0
    for signal in sorted(stage.signals_needed):
        name = signal.removesuffix("_logprobs")
        model = policy if name == "old" else frozen[name]
        readers = stage.readers(signal)
        read = [s for s in sequences if any(term.reads(s) and not term.objective.inert(s) for term in readers)]
        for batch in microbatches(read, stage.tokens_per_microbatch):
            for sequence, values in zip(batch, _logprobs(batch, model)):
                known = out[sequence.uid]
                out[sequence.uid] = dataclasses.replace(known, signals={**known.signals, signal: values})
        tokens_passed += sum(len(s.tokens) for s in read)
    return [out[s.uid] for s in sequences], tokens_passed


def _logprobs(sequences: Sequence[TrainingSequence], policy: Policy) -> list[torch.Tensor]:
    batch = collate(sequences, policy.text.end, policy.device)
    positions = batch.origin != int(Origin.PROMPT)
    positions[:, 0] = False
    with torch.no_grad():
        logprobs = Forward(policy, batch, positions).logprobs
    return [row[: len(s.tokens)].cpu() for row, s in zip(logprobs, sequences)]
