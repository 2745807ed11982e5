"""What a run leaves behind: ``metrics.jsonl``, ``rollouts.jsonl``, ``evaluations.jsonl``, ``interludes.jsonl``.

Means are over the whole step, never averages of averages; a mean over nothing is ``null``, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posttrain.loop import StepRecord
from posttrain.runs import folder
from posttrain.spent import Spent
from posttrain.text import Text
from posttrain.types import Origin, Rollout


class Journal:
    """Writes a run's rows.

    Args:
        path: the run's folder.
        text: decodes hints for people.
        rollouts_kept_per_step: rows of ``rollouts.jsonl`` per step, spread evenly over the collection.
    """

    def __init__(self, path: Path, text: Text, rollouts_kept_per_step: int) -> None:
        self._path, self._text, self._kept = path, text, rollouts_kept_per_step

    def step(self, stage: str, step: int, record: StepRecord, spent: Spent) -> dict[str, Any]:
        """Write one finished step and return its metrics; ``step`` counts from 1 over all stages."""
        row = {"step": step, "stage": stage, **step_metrics(record), **spent_metrics(spent)}
        folder.append_rows(self._path / folder.METRICS, [row])
        rollouts = record.collection.rollouts
        stride = max(1, math.ceil(len(rollouts) / max(1, self._kept)))
        rows = [rollout_row(r, self._text, stage, step) for r in rollouts[::stride]] if self._kept else []
        folder.append_rows(self._path / folder.ROLLOUTS, rows)
        return row

    def profile(self, step: int, seconds: float, by_phase: Mapping[str, float], beside: float) -> None:
        """Write where the seconds of a step went, and what was judged beside it; what no phase has is ``other``."""
        row = {"step": step, "seconds": seconds, "beside": beside, **by_phase}
        row["other"] = seconds - sum(by_phase.values())
        folder.append_rows(self._path / folder.PROFILE, [row])

    def evaluation(self, row: dict[str, Any]) -> None:
        """Write one evaluation."""
        folder.append_rows(self._path / folder.EVALUATIONS, [row])

    def interlude(self, name: str, step: int, counted: Mapping[str, float]) -> None:
        """Write what an interlude after ``step`` steps counted; one that is done again replaces its row."""
        path = self._path / folder.INTERLUDES
        others = [row for row in folder.read_rows(path) if row["interlude"] != name]
        folder.write_rows(path, [*others, {"interlude": name, "step": step, **counted}])

    def rewind(self, step: int) -> None:
        """Forget the rows after ``step``."""
        for name in (folder.METRICS, folder.ROLLOUTS, folder.EVALUATIONS, folder.PROFILE):
            folder.keep_rows_until(self._path / name, step)


def step_metrics(record: StepRecord) -> dict[str, Any]:
    """The numbers of one step; rewards are told apart by whether the row began with a hint."""
    rollouts = record.collection.rollouts
    hinted = [r for r in rollouts if r.labels.get("hint_fraction", 0.0) > 0]
    scratch = [r for r in rollouts if r.labels.get("hint_fraction", 0.0) == 0]
    sampled = [r for r in rollouts if r.ended != "given"]
    return {
        "seconds": record.seconds,
        "learning_rate": record.learning_rate,
        "gradient_norm": record.gradient_norm,
        **{f"loss/{name}": value for name, value in record.losses.items()},
        "reward": mean_over(rollouts, _score),
        "reward_hinted": mean_over(hinted, _score),
        "reward_scratch": mean_over(scratch, _score),
        "correct": mean_over(rollouts, _correct),
        "valid": mean_over(rollouts, _valid),
        "hint_fraction": mean_over(rollouts, lambda r: r.labels.get("hint_fraction")),
        "informative_groups": informative_groups(rollouts),
        "response_tokens": mean_over(sampled, _sampled_tokens),
        "cut_off": mean_over(sampled, lambda r: float(r.ended == "length")),
        "entropy_estimate": entropy_estimate(sampled),
        "sequences": len(record.collection.sequences),
        "sequences_skipped": record.skipped,
        "groups_dropped": record.collection.groups_dropped,
        "unscorable": record.collection.unscorable,
    }


def spent_metrics(spent: Spent) -> dict[str, Any]:
    """What the run has used up so far."""
    return {
        "completions_sampled": spent.completions_sampled,
        "tokens_sampled": spent.tokens_sampled,
        "tokens_trained": spent.tokens_trained,
        "updates": spent.updates,
        "flops": spent.flops,
        "seconds_total": spent.seconds,
    }


def mean_over(rollouts: Sequence[Rollout], number: Callable[[Rollout], float | None]) -> float:
    """The mean of the known numbers; ``nan`` where there is none."""
    known = [value for value in map(number, rollouts) if value is not None]
    return sum(known) / len(known) if known else math.nan


def informative_groups(rollouts: Sequence[Rollout]) -> float:
    """Share of the judged groups whose rewards differ: the ones that a group-relative advantage can learn from."""
    groups: dict[Any, set[float]] = {}
    for rollout in rollouts:
        if (score := _score(rollout)) is not None:
            groups.setdefault(rollout.group, set()).add(score)
    return sum(len(scores) > 1 for scores in groups.values()) / len(groups) if groups else math.nan


def entropy_estimate(sampled: Sequence[Rollout]) -> float:
    """Mean of ``-log p`` of the sampled tokens in nats: an unbiased estimate of the policy's entropy per token."""
    total, count = 0.0, 0
    for rollout in sampled:
        known = rollout.behaviour_logprobs[rollout.origin == int(Origin.SAMPLED)]
        known = known[~known.isnan()]
        total, count = total - float(known.sum()), count + len(known)
    return total / count if count else math.nan


def rollout_row(rollout: Rollout, text: Text, stage: str, step: int) -> dict[str, Any]:
    """One rollout for people: the hint and what was written after it, apart."""
    given = rollout.origin == int(Origin.GIVEN)
    sampled = rollout.origin == int(Origin.SAMPLED)
    verdict = rollout.verdict
    return {
        "step": step,
        "stage": stage,
        "example": rollout.example.id,
        "prompt": rollout.example.prompt,
        "given": text.decode(rollout.tokens[given]),
        "sampled": text.decode(rollout.tokens[sampled]),
        "score": None if verdict is None else verdict.score,
        "reason": None if verdict is None else verdict.reason,
        "valid": None if verdict is None else verdict.valid,
        "ended": rollout.ended,
        "tokens_sampled": int(sampled.sum()),
        **{name: value for name, value in rollout.labels.items() if name == "hint_fraction"},
    }


def _score(rollout: Rollout) -> float | None:
    return None if rollout.verdict is None else rollout.verdict.score


def _correct(rollout: Rollout) -> float | None:
    correct = None if rollout.verdict is None else rollout.verdict.correct
    return None if correct is None else float(correct)


def _valid(rollout: Rollout) -> float | None:
    return None if rollout.verdict is None else float(rollout.verdict.valid)


def _sampled_tokens(rollout: Rollout) -> float:
    return float((rollout.origin == int(Origin.SAMPLED)).sum())
