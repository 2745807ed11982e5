"""One step's material: draw examples, write, judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posttrain.errors import UserError
from posttrain.protocols import Engine
from posttrain.stage import Stage, Stream
from posttrain.stopwatch import phase
from posttrain.text import Text
from posttrain.types import Example, Group, Progress, Rollout, TrainingSequence


@dataclass(frozen=True, eq=False)
class Collection:
    """What one step collected.

    Args:
        sequences: the training sequences of all groups that could be judged.
        rollouts: every rollout, the dropped ones included.
        unscorable: answers that no verdict could be had for.
        groups_dropped: groups left out because one of their answers was unscorable.
    """

    sequences: list[TrainingSequence]
    rollouts: list[Rollout]
    unscorable: int
    groups_dropped: int


def draw(stream: Stream, now: Progress) -> tuple[Example, ...]:
    """The step's examples: epochs without replacement, each in an order that only seed and epoch decide.

    A function of the step alone, so a resumed run draws what the uninterrupted one would have drawn.
    """
    count = len(stream.examples)
    chosen = []
    for index in range(now.step * stream.prompts_per_step, (now.step + 1) * stream.prompts_per_step):
        epoch, at = divmod(index, count)
        chosen.append(stream.examples[int(_epoch_order(count, dataclasses.replace(now, step=epoch))[at])])
    return tuple(chosen)


def _epoch_order(count: int, epoch: Progress) -> torch.Tensor:
    key = epoch.key("epoch", count)
    if key not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[key] = torch.randperm(count, generator=epoch.generator("epoch", count))
    return _ORDERS[key]


_ORDERS: dict[int, torch.Tensor] = {}
"""Int["count"], the order of the current epoch, so that it is shuffled once and not once per draw."""


def collect(stage: Stage, engine: Engine, text: Text, now: Progress) -> Collection:
    """Collect one step's sequences from all streams.

    Raises:
        UserError: a group of one where credit compares rollouts.
    """
    sequences: list[TrainingSequence] = []
    rollouts: list[Rollout] = []
    unscorable = dropped = 0
    for stream in stage.streams:
        moment = now.within(stream.name)
        groups = stream.source(draw(stream, moment), engine, text, stage.sampling, moment)
        for number, group in enumerate(groups):
            judged = _unique(_judge(stream, group), number)
            rollouts.extend(judged)
            missing = sum(1 for r in judged if r.verdict is not None and r.verdict.score is None)
            unscorable += missing
            dropped += missing > 0
            if not missing:
                sequences.extend(_sequences(stream, judged, now, len(sequences)))
    return Collection(sequences, rollouts, unscorable, dropped)


def refuse_overlong(sequences: Sequence[TrainingSequence], context: int) -> None:
    """Refuse what a model cannot read: examples that fit were kept, but a source may have built longer texts of them.

    Args:
        sequences: those of a collection.
        context: of the model, in tokens.

    Raises:
        UserError: naming the first that is longer.
    """
    for sequence in sequences:
        if len(sequence.tokens) > context:
            raise UserError(
                f"stream {sequence.stream!r} makes {len(sequence.tokens)} tokens of example "
                f"{sequence.rollout.example.id!r}, more than the model's context of {context}; leave such examples "
                "out, let the method add less to them, or use a model with a longer context"
            )


def _judge(stream: Stream, group: Group) -> tuple[Rollout, ...]:
    if stream.reward is None:
        return tuple(group)
    with phase("verify"):
        verdicts = stream.reward(group)
    return tuple(dataclasses.replace(r, verdict=v) for r, v in zip(group, verdicts, strict=True))


def _unique(group: Group, number: int) -> tuple[Rollout, ...]:
    """Number the groups of a step, so that an example drawn twice makes two groups and not one of double size."""
    return tuple(dataclasses.replace(r, group=(number, r.group)) for r in group)


def _sequences(stream: Stream, group: Group, now: Progress, first: int) -> list[TrainingSequence]:
    if stream.credit is not None and stream.credit.compares and len(group) < 2:
        raise UserError(
            f"{type(stream.credit).__name__} compares the rollouts of a prompt with each other, but there is only one; "
            "set rollouts_per_prompt to at least 2"
        )
    made = []
    for index, rollout in enumerate(group):
        uid = now.key("uid", stream.name, first + index) % (1 << 62)
        made.append(TrainingSequence(rollout, rollout.tokens, rollout.origin, stream.name, uid, dict(rollout.signals)))
    return made
