"""Credit at two levels: what was sampled against other continuations of its hint, the hint against having none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.credit.group import Centred, Standardised
from posttrain.credit.groups import members_by_group, rewards_of
from posttrain.types import Origin, TrainingSequence


@dataclass(frozen=True)
class HintAware:
    """Prefix-RFT's variant (2507.01679, released code) in which a hint and its continuation earn apart.

    Rollouts of a prompt whose given tokens are the same share a hint. With n rollouts of mean reward m that share one,
    and mean reward m_0 of the prompt's rollouts without any:

    - every token that is not given has ``within(r)``, relative to the rollouts with the same hint, or to those without
      one. A rollout alone with its hint has nothing to be compared with and keeps its reward, as in the released code;
    - every token of the hint has ``(m - m_0) / n``, or 0 if the prompt has no rollout without a hint.

    For n = 1, the only form that is known to have been run, this is the released code. For n > 1 that code subtracts
    m_0 from each rollout's relative reward, whose mean is 0, so that what the hint leads to no longer counts; the
    formula above is our reading.

    Args:
        within: how rollouts with the same hint are compared: ``Standardised`` is the code's ``grpo_prefix``,
            ``Centred`` its ``dr_grpo_prefix``.
    """

    within: Standardised | Centred = Standardised()
    compares = True
    reads_rewards = True
    needs = frozenset[str]()
    provides = frozenset({"advantages"})

    def __call__(self, sequences: Sequence[TrainingSequence]) -> list[Mapping[str, Tensor]]:
        """``advantages`` per sequence."""
        out: list[Mapping[str, Tensor]] = [{} for _ in sequences]
        for indices in members_by_group(sequences).values():
            for i, advantages in zip(indices, self._of_prompt([sequences[i] for i in indices])):
                out[i] = {"advantages": advantages}
        return out

    def _of_prompt(self, group: Sequence[TrainingSequence]) -> list[Tensor]:
        rewards = rewards_of(group)
        of_hint, of_others = torch.zeros_like(rewards), torch.zeros_like(rewards)
        by_hint: dict[tuple[int, ...], list[int]] = {}
        for index, sequence in enumerate(group):
            by_hint.setdefault(_hint(sequence), []).append(index)
        without = rewards[by_hint[()]].mean() if () in by_hint else None
        for members in by_hint.values():
            own = rewards[members]
            of_others[members] = self.within.relative(own) if len(members) > 1 else own
            if without is not None:
                of_hint[members] = (own.mean() - without) / len(members)
        given = [s.origin == int(Origin.GIVEN) for s in group]
        return [torch.where(mask, hint, other) for mask, hint, other in zip(given, of_hint, of_others)]


def _hint(sequence: TrainingSequence) -> tuple[int, ...]:
    """The given tokens themselves: two rollouts share a hint exactly if these are equal."""
    return tuple(sequence.tokens[sequence.origin == int(Origin.GIVEN)].tolist())
