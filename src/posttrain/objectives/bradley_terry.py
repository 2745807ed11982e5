"""The loss of a reward model: of two answers, the preferred one shall have the higher score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from posttrain.forward import Forward
from posttrain.objectives.preference import BradleyTerry, answer_tokens, loss_of_pairs
from posttrain.signals import HEAD, WHOLE_GROUPS
from posttrain.types import TokenBatch, TrainingSequence


@dataclass(frozen=True)
class PairedReward:
    """``-log sigmoid(r(x, y_w) - r(x, y_l))`` of each pair, on every token of both its answers.

    The score r of an answer is the head ``score`` on the state after its last token has been read. Pairs are those of
    :class:`posttrain.objectives.preference.PairedPreference`; under the share ``PerGroup`` the weighted sum is the mean
    over pairs. Only differences of scores matter: a number added to all of them changes nothing.
    """

    needs = frozenset({"preference", f"{HEAD}score", WHOLE_GROUPS})

    def inert(self, sequence: TrainingSequence) -> bool:
        """Never: a pair always pulls, however clear it is."""
        return False

    def __call__(self, forward: Forward, batch: TokenBatch) -> Tensor:
        """Float["b l"]; sequences without a preference have the value 0.

        Raises:
            ValueError: a group is not one preferred and one rejected answer.
        """
        answer = answer_tokens(forward, batch)
        places = torch.arange(answer.shape[1], device=answer.device)
        last = torch.where(answer, places, 0).amax(1, keepdim=True)
        scores = forward.scores.gather(1, last)[:, 0]
        return loss_of_pairs(BradleyTerry(beta=1.0), scores, answer, batch)
