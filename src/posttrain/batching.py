"""Shares, minibatches, micro-batches, padding: the only place that normalises and the only place that pads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from posttrain.protocols import Term
from posttrain.signals import EMPHASIS
from posttrain.types import Origin, TokenBatch, TrainingSequence

Total = Callable[[float], float]
Counts = Literal["members", "weights"]


@dataclass(frozen=True)
class PerToken:
    """Every member token of the minibatch counts the same: ``1 / members`` ("token mean").

    Args:
        counts: ``"weights"`` divides by what the members' emphases sum to instead of by their number.
    """

    counts: Counts = "members"

    def denominators(self, members: Sequence[float], groups: Sequence[object], total: Total) -> list[float]:
        """The number of members in the whole minibatch."""
        return [total(sum(members))] * len(members)


@dataclass(frozen=True)
class PerSequence:
    """Every sequence that has members counts the same, and its members share that ("sequence mean").

    Args:
        counts: ``"weights"`` divides by what the members' emphases sum to instead of by their number.
    """

    counts: Counts = "members"

    def denominators(self, members: Sequence[float], groups: Sequence[object], total: Total) -> list[float]:
        """Sequences with members x members of this sequence."""
        alive = total(float(sum(1 for n in members if n > 0)))
        return [alive * n for n in members]


@dataclass(frozen=True)
class PerGroup:
    """Every group that has members counts the same, and its members share that. A group lives on one rank.

    Args:
        counts: ``"weights"`` divides by what the members' emphases sum to instead of by their number.
    """

    counts: Counts = "members"

    def denominators(self, members: Sequence[float], groups: Sequence[object], total: Total) -> list[float]:
        """Groups with members x members of this group."""
        sums: dict[object, float] = {}
        for n, group in zip(members, groups):
            sums[group] = sums.get(group, 0.0) + n
        alive = total(float(sum(1 for n in sums.values() if n > 0)))
        return [alive * sums[group] for group in groups]


@dataclass(frozen=True)
class PerConstant:
    """A sum over tokens, averaged over all sequences of the term's stream and divided by ``tokens``.

    ``tokens=1`` is the expectation of a sequence's sum (UFT's likelihood as its paper writes it); the longest response
    length is Dr. GRPO's normaliser. Sequences of the stream without members count too.
    """

    tokens: float = 1.0
    counts: ClassVar[Counts] = "members"

    def denominators(self, members: Sequence[float], groups: Sequence[object], total: Total) -> list[float]:
        """Sequences x ``tokens``."""
        return [total(float(len(members))) * self.tokens] * len(members)


def weigh(sequences: Sequence[TrainingSequence], terms: Sequence[Term], total: Total) -> list[TrainingSequence]:
    """Give every sequence its weights, shares of the whole minibatch, so that a micro-batch's loss is a plain sum.

    Args:
        sequences: this rank's part of one minibatch.
        terms: the terms of the loss.
        total: sums a number over all ranks.

    Returns:
        The sequences with ``weights[term.name]``: Float["l"], 0 outside the term's members. Of each term the weights
        sum to 1 over the minibatch of all ranks, or to 0 if it has no members (``PerConstant`` sums to a length, and
        emphasised members to their mean emphasis where members are counted).
    """
    lengths = [s.length for s in sequences]
    owner = torch.arange(len(sequences)).repeat_interleave(torch.tensor(lengths, dtype=torch.long))
    weighed = [dict(s.weights) for s in sequences]
    for term in terms:
        masks = _members(sequences, term, owner)
        amounts = _emphasised(sequences, term, masks)
        counted = amounts if term.share.counts == "weights" else masks
        counts = torch.bincount(owner, counted, minlength=len(sequences)).double()
        read = [i for i, s in enumerate(sequences) if term.reads(s)]
        members = counts[read].tolist()
        denominators = term.share.denominators(members, [sequences[i].group for i in read], total)
        divisors = torch.ones(len(sequences), dtype=torch.float64)
        divisors[read] = torch.tensor([d if n else 1.0 for n, d in zip(members, denominators)], dtype=torch.float64)
        for weights, share in zip(weighed, torch.split(amounts / divisors[owner], lengths)):
            weights[term.name] = share
    return [dataclasses.replace(s, weights=w) for s, w in zip(sequences, weighed)]


def _members(sequences: Sequence[TrainingSequence], term: Term, owner: Tensor) -> Tensor:
    """Float["t"]: 1 at every token, of all sequences one after the other, that belongs to the term."""
    origin = torch.cat([torch.empty(0, dtype=torch.long), *(s.origin for s in sequences)])
    reads = torch.tensor([term.reads(s) for s in sequences], dtype=torch.bool)
    members = torch.isin(origin, torch.tensor([int(o) for o in term.over])) & reads[owner]
    # Nothing predicts the first token.
    first = owner.diff(prepend=torch.tensor([-1])) != 0
    return (members & ~first).double()


def _emphasised(sequences: Sequence[TrainingSequence], term: Term, masks: Tensor) -> Tensor:
    """Float["t"]: what members count, where somebody emphasises tokens of the term."""
    emphasis = [s.signals.get(f"{EMPHASIS}{term.name}") for s in sequences]
    if all(e is None for e in emphasis):
        return masks
    ones = (torch.ones(s.length, dtype=torch.float64) if e is None else e.double() for s, e in zip(sequences, emphasis))
    return masks * torch.cat(list(ones))


def minibatches(
    sequences: Sequence[TrainingSequence], groups_per_update: int | None, passes: int, order: torch.Generator
) -> Iterator[list[TrainingSequence]]:
    """Cut one collection into the minibatches of its updates; groups are never split.

    Args:
        sequences: the collection.
        groups_per_update: groups in one update; ``None`` takes all of them.
        passes: how often the collection is gone through.
        order: shuffles the groups of every pass after the first.
    """
    by_group: dict[Hashable, list[TrainingSequence]] = {}
    for sequence in sequences:
        by_group.setdefault(sequence.group, []).append(sequence)
    keys = list(by_group)
    size = groups_per_update or max(1, len(keys))
    for index in range(passes):
        shuffled = keys if index == 0 else [keys[i] for i in torch.randperm(len(keys), generator=order).tolist()]
        for at in range(0, len(shuffled), size):
            yield [sequence for key in shuffled[at : at + size] for sequence in by_group[key]]


def microbatches(
    sequences: Sequence[TrainingSequence],
    tokens_per_microbatch: int,
    whole_groups: bool = False,
    beside_each_other: bool = False,
) -> Iterator[list[TrainingSequence]]:
    """Cut a minibatch by a budget of padded tokens, longest first, so that little is padding.

    Args:
        sequences: the minibatch.
        tokens_per_microbatch: the budget; a sequence, or a group that must stay whole, goes beyond it alone.
        whole_groups: never part the sequences of a group.
        beside_each_other: keep them beside each other, so that what they have in common may pass a model once.
    """
    groups: dict[Hashable, list[TrainingSequence]] = {}
    together = whole_groups or beside_each_other
    for sequence in sequences:
        groups.setdefault(sequence.group if together else sequence.uid, []).append(sequence)
    ordered = [sorted(group, key=_longest_first) for group in groups.values()]
    ordered.sort(key=lambda group: _longest_first(group[0]))
    units = ordered if whole_groups else [[sequence] for group in ordered for sequence in group]
    row: list[TrainingSequence] = []
    longest = 0
    for unit in units:
        longest = max(longest, *(s.length for s in unit))
        if row and (len(row) + len(unit)) * longest > tokens_per_microbatch:
            yield row
            row, longest = [], max(s.length for s in unit)
        row.extend(unit)
    if row:
        yield row


def _longest_first(sequence: TrainingSequence) -> tuple[int, int]:
    return -sequence.length, sequence.uid


def collate(sequences: Sequence[TrainingSequence], padding_token: int, device: torch.device) -> TokenBatch:
    """Pad on the right. Padding has origin PROMPT, attention 0 and weight 0, so that no term can reach it."""

    def stack(rows: Sequence[Tensor], fill: float) -> Tensor:
        return pad_sequence(list(rows), batch_first=True, padding_value=fill).to(device)

    def signal(name: str) -> Tensor:
        # A sequence without this signal has weight 0 in every term that reads it, or the term is inert on it.
        known = next(s.signals[name] for s in sequences if name in s.signals)
        return stack([s.signals.get(name, known.new_zeros(s.length)) for s in sequences], 0.0)

    groups: dict[Hashable, int] = {}
    for s in sequences:
        groups.setdefault(s.group, len(groups))
    names = dict.fromkeys(name for s in sequences for name in s.signals)
    return TokenBatch(
        tokens=stack([s.tokens for s in sequences], padding_token),
        origin=stack([s.origin for s in sequences], int(Origin.PROMPT)),
        attention_mask=stack([torch.ones_like(s.tokens) for s in sequences], 0),
        temperature=torch.tensor([s.rollout.temperature for s in sequences], dtype=torch.float64, device=device),
        uid=torch.tensor([s.uid for s in sequences], device=device),
        group=torch.tensor([groups[s.group] for s in sequences], device=device),
        signals={name: signal(name) for name in names},
        weights={name: stack([s.weights[name] for s in sequences], 0.0) for name in sequences[0].weights},
    )
