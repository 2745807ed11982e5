"""What the policy wrote early, in the middle and late: a few rollouts of each, chosen by place and not by score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from posttrain.report.read import HELDOUT, ROLLOUTS, Row, read_rows

ROWS_PER_MOMENT = 4


@dataclass(frozen=True, eq=False)
class Moment:
    """A few rollouts of one step."""

    name: str
    step: int
    stage: str
    rows: tuple[Row, ...]


def moments(run: Path) -> list[Moment]:
    """The first, the middle and the last step of which rollouts were kept.

    Steps in which nothing was sampled are passed over where there are others.
    """
    rows = read_rows(run / ROLLOUTS)
    rows = tuple(row for row in rows if row.get("ended") != "given") or rows
    steps = sorted({row["step"] for row in rows})
    if not steps:
        return []
    chosen = {steps[0]: "early", steps[len(steps) // 2]: "middle", steps[-1]: "late"}
    return [_moment(name, step, [row for row in rows if row["step"] == step]) for step, name in sorted(chosen.items())]


def _moment(name: str, step: int, rows: Sequence[Row]) -> Moment:
    return Moment(name, step, str(rows[0].get("stage", "")), tuple(evenly(_distinct(rows), ROWS_PER_MOMENT)))


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """One row per problem where there are enough of them."""
    first = {row.get("example"): row for row in reversed(rows)}
    return list(reversed(first.values())) if len(first) >= ROWS_PER_MOMENT else list(rows)


def evenly(rows: Sequence[Row], most: int) -> list[Row]:
    """At most ``most`` rows, spread over all of them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[index * len(rows) // most] for index in range(most)]


@dataclass(frozen=True)
class Reason:
    """How often the verifier gave a reason."""

    reason: str
    score: float | None
    times: int
    share: float


def final_reasons(run: Path) -> list[Reason]:
    """Why the last evaluation's answers were right or wrong, the most frequent reason first."""
    rows = read_rows(run / HELDOUT)
    counts = Counter((str(row.get("reason")), row.get("score")) for row in rows)
    return [Reason(reason, score, times, times / len(rows)) for (reason, score), times in counts.most_common()]


def final_answers(run: Path, most: int = 6) -> list[Row]:
    """A few of the last evaluation's answers, spread over the problems."""
    return evenly(read_rows(run / HELDOUT), most)
