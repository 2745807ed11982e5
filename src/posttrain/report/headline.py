"""A comparison in one sentence, no more than its intervals allow."""

from __future__ import annotations

from dataclasses import dataclass

from posttrain.report import formats
from posttrain.report.arms import Arm, Comparison
from posttrain.report.pairs import between
from posttrain.report.palette import label
from posttrain.report.read import Row


@dataclass(frozen=True)
class Headline:
    """The sentence, and what qualifies it."""

    sentence: str
    details: tuple[str, ...]


def headline(comparison: Comparison) -> Headline:
    """The two arms with the highest accuracies and whether their difference is shown; then the others."""
    known = [arm for arm in comparison.arms if arm.accuracy is not None]
    ranked = sorted(known, key=lambda arm: -(arm.accuracy or 0.0))
    if not ranked:
        return Headline("No arm has a known accuracy yet", ())
    if len(ranked) == 1:
        return Headline(_named(ranked[0]), _caveats(comparison))
    best, second, *others = ranked
    verdict = _verdict(between(comparison.paired, best.method, second.method))
    sentence = f"{_named(best)}, {_named(second)}; {verdict}"
    return Headline(sentence, (*_others(comparison, best, others), *_caveats(comparison)))


def _named(arm: Arm) -> str:
    return f"{label(arm.method)} {formats.share(arm.accuracy)}"


def _verdict(row: Row | None) -> str:
    if row is None or row.get("difference") is None:
        return "their difference was not tested"
    size = formats.points(row["difference"]).removeprefix("+")
    return f"the difference of {size} points {formats.interval(row.get('ci95'))} {shown_words(row)}"


def shown_words(row: Row) -> str:
    """Whether an effect is shown: only if its interval excludes 0."""
    if row.get("shown"):
        return "is shown"
    ends = row.get("ci95")
    contains = ends is not None and None not in ends and ends[0] <= 0 <= ends[1]
    return "is not shown: the interval contains 0" if contains else "is not shown"


def _others(comparison: Comparison, best: Arm, others: list[Arm]) -> tuple[str, ...]:
    """The remaining arms against the best one, told apart by whether the difference is shown."""
    shown: list[str] = []
    open_: list[str] = []
    untested: list[str] = []
    for arm in others:
        row = between(comparison.paired, best.method, arm.method)
        if row is None or row.get("difference") is None:
            untested.append(_named(arm))
            continue
        told = f"{_named(arm)} ({formats.points(row['difference'])} points {formats.interval(row.get('ci95'))})"
        (shown if row.get("shown") else open_).append(told)
    name = label(best.method)
    lists = (
        (f"A difference is shown between {name} and", shown),
        (f"A difference is not shown between {name} and", open_),
        (f"Not tested against {name}:", untested),
    )
    return tuple(f"{words} {', '.join(arms)}." for words, arms in lists if arms)


def _caveats(comparison: Comparison) -> tuple[str, ...]:
    if comparison.seeds == 1:
        return ("One seed per arm: the intervals are about the problems, not about the luck of a training run.",)
    return ()
