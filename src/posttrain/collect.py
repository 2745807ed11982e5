"""One step's material: draw examples, write, and judge each group while others are still being written.

A group has the number of its example in the step's draw, whenever it was finished.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from posttrain.arrivals import in_order, placed
from posttrain.beside import Beside
from posttrain.errors import UserError
from posttrain.protocols import Engine
from posttrain.sampling import Sampling
from posttrain.stage import Stage, Stream
from posttrain.stopwatch import phase, worked_beside
from posttrain.text import Text
from posttrain.types import Example, Group, Progress, Rollout, TrainingSequence, Verdict


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
        VerifierError: a verifier raised; what was still being written is left.
    """
    sequences: list[TrainingSequence] = []
    rollouts: list[Rollout] = []
    unscorable = dropped = 0
    with Beside() as beside:
        written = [(s, _write(s, engine, text, stage.sampling, now.within(s.name), beside)) for s in stage.streams]
        with phase("verify"):
            streams = [(stream, [handed.judged(k) for k, handed in enumerate(groups)]) for stream, groups in written]
    worked_beside(beside.seconds)
    for stream, groups in streams:
        for judged in groups:
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
        if sequence.length > context:
            raise UserError(
                f"stream {sequence.stream!r} makes {sequence.length} tokens of example "
                f"{sequence.rollout.example.id!r}, more than the model's context of {context}; leave such examples "
                "out, let the method add less to them, or use a model with a longer context"
            )


@dataclass(frozen=True, eq=False)
class _Handed:
    """A group that is being judged, or that nobody judges."""

    group: Group
    verdicts: Future[tuple[Verdict, ...]] | None

    def judged(self, number: int) -> Group:
        """The group with its verdicts, which are waited for.

        ``number`` is its own in the step, so that an example drawn twice makes two groups and not one of double size.
        """
        verdicts = [r.verdict for r in self.group] if self.verdicts is None else self.verdicts.result()
        return [
            dataclasses.replace(rollout, verdict=verdict, group=(number, rollout.group))
            for rollout, verdict in zip(self.group, verdicts, strict=True)
        ]


def _write(
    stream: Stream, engine: Engine, text: Text, sampling: Sampling, now: Progress, beside: Beside
) -> list[_Handed]:
    """A stream's groups in the order of their examples, each handed to the reward as soon as it is there."""
    examples, reward = draw(stream, now), stream.reward
    groups = placed(stream.source(examples, engine, text, sampling, now))
    handed = ((place, _Handed(g, None if reward is None else beside.begin(reward, g))) for place, g in groups)
    return in_order(handed, len(examples))


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
