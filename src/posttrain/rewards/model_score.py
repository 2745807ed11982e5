"""The reward that asks a reward model: its number for the whole answer, in the model's own units."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from posttrain.batching import collate, microbatches
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.rewards.failure import failure
from posttrain.types import Example, Origin, Rollout, TrainingSequence, Verdict


@dataclass(frozen=True, eq=False)
class ModelScore:
    """The score of prompt and answer as texts, written in the reward model's own tokens and ended.

    An answer that was cut off is scored as if it ended there, and its verdict is not ``valid``. One that the tokenizer
    cannot write, or that is longer than the model's context, is unscorable. Only differences between the scores of a
    prompt's answers mean something, so credit that compares them is at home here. Threads that ask take turns.

    Args:
        model: has the head ``score`` (:func:`posttrain.heads.load_reward_model`); nothing moves it.
        tokens_per_microbatch: padded tokens per pass; speed and memory only.
    """

    model: Policy
    tokens_per_microbatch: int = 16384
    _alone: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse a model that gives no scores."""
        if "score" not in self.model.heads:
            raise UserError("this model has no head 'score'; load a reward model with load_reward_model(folder)")

    def __call__(self, group: Sequence[Rollout]) -> tuple[Verdict, ...]:
        """One verdict per rollout, in order.

        Raises:
            VerifierError: a score is not a finite number; the message shows the example.
        """
        with self._alone:
            rows = [self._written(r.example, r.response, number) for number, r in enumerate(group)]
            scores = self._scores([row for row in rows if isinstance(row, TrainingSequence)])
        return tuple(_verdict(r, row, scores) for r, row in zip(group, rows, strict=True))

    def score(self, prompt: str, response: str) -> float:
        """The score of one answer, for best-of-N; :meth:`scores` is faster for many.

        Raises:
            UserError: it cannot be scored.
            VerifierError: the score is not a finite number.
        """
        return self.scores([(prompt, response)])[0]

    def scores(self, answers: Sequence[tuple[str, str]]) -> list[float]:
        """The scores of many answers, each with its prompt before it, in their order.

        Raises:
            UserError: one of them cannot be scored.
            VerifierError: a score is not a finite number.
        """
        with self._alone:
            rows = [self._scorable(prompt, response, number) for number, (prompt, response) in enumerate(answers)]
            found = self._scores(rows)
        return [_finite(found[row.uid], row.rollout.example, row.rollout.response) for row in rows]

    def _scorable(self, prompt: str, response: str, uid: int) -> TrainingSequence:
        row = self._written(Example("scored", prompt), response, uid)
        if isinstance(row, str):
            raise UserError(f"this answer cannot be scored: {row}; leave it out: {response[:120]!r}")
        return row

    def _written(self, example: Example, response: str, uid: int) -> TrainingSequence | str:
        """The text that is scored, or why it cannot be."""
        text = self.model.text
        try:
            prompt, answer = text.encode(example.prompt), text.encode(response)
        except UserError:
            return "the reward model's tokenizer cannot write it"
        tokens = torch.cat([prompt, answer, torch.tensor([text.end])])
        if len(tokens) == 1:
            return "there is no text"
        if len(tokens) > self.model.context:
            return f"{len(tokens)} tokens, over the reward model's context of {self.model.context}"
        origin = torch.full_like(tokens, int(Origin.GIVEN))
        origin[: len(prompt)] = int(Origin.PROMPT)
        unknown = torch.full((len(tokens),), math.nan)
        rollout = Rollout(example, tokens, origin, unknown, response, 1.0, -1, "given", uid)
        return TrainingSequence(rollout, tokens, origin, "scored", uid)

    def _scores(self, rows: Sequence[TrainingSequence]) -> dict[int, float]:
        """By the rows' ``uid``."""
        found: dict[int, float] = {}
        for some in microbatches(rows, self.tokens_per_microbatch):
            batch = collate(some, self.model.text.end, self.model.device)
            places = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
            last = places == batch.attention_mask.sum(1, keepdim=True) - 1
            with torch.no_grad():
                scores = Forward(self.model, batch, last).scores[last]  # one per row, in their order
            found |= {row.uid: score for row, score in zip(some, scores.tolist(), strict=True)}
        return found


def _verdict(rollout: Rollout, row: TrainingSequence | str, scores: dict[int, float]) -> Verdict:
    if isinstance(row, str):
        return Verdict(None, row, False)
    ended = rollout.ended != "length"
    score = _finite(scores[row.uid], rollout.example, rollout.response)
    return Verdict(score, "scored by a model" if ended else "scored by a model, cut off", ended)


def _finite(score: float, example: Example, response: str) -> float:
    if not math.isfinite(score):
        raise failure(example, response, f"the reward model's score is {score}")
    return score
