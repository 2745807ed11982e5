"""What a second measurement says about the first."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from fixtures.documentation import ROOT

sys.path.insert(0, str(ROOT / "claims"))
import repeat
from effects import RESULTS, effects_of
from table import CLAIMS


def found(difference: float, low: float, high: float, verdict: str) -> dict[str, object]:
    return {"difference": difference, "low": low, "high": high, "verdict": verdict}


KNOWN = {"claim": "somewhere", "baseline": "sft", "outcome": "accuracy", "unit": "points"}
ROWS = [
    {**KNOWN, "arm": "a", "before": found(4.0, 1.0, 7.0, "shown"), "now": found(5.0, -1.0, 9.0, "not shown")},
    {**KNOWN, "arm": "b", "before": found(2.0, 1.0, 3.0, "shown"), "now": found(-6.0, -9.0, -1.0, "reversed")},
    {**KNOWN, "arm": "c", "before": found(0.0, -1.0, 1.0, "not shown"), "now": found(0.0, -1.0, 1.0, "not shown")},
]


def page(rows: list[dict[str, object]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(repeat, "FILE", folder / "repeated.json")
    (folder / "repeated.json").write_text(json.dumps(rows))
    return " ".join(" ".join(repeat.section()).split())


def test_it_counts_what_moved_and_names_the_verdicts_that_changed(tmp_path, monkeypatch) -> None:
    text = page(ROWS, tmp_path, monkeypatch)
    assert "3 effects were measured twice" in text
    assert "2 second differences lie in the first interval" in text
    assert "by 1.0 in the median and by 8.0 at most. 2 verdicts changed, 1 of them from one side to the other" in text
    assert "| `a` | sft | accuracy | +4.0 points [+1.0, +7.0], shown | +5.0 points [-1.0, +9.0], not shown |" in text
    assert "`c`" not in text


def test_without_a_second_measurement_it_says_nothing(tmp_path, monkeypatch) -> None:
    assert page([], tmp_path, monkeypatch) == ""
    monkeypatch.setattr(repeat, "FILE", tmp_path / "none.json")
    assert repeat.section() == []


def test_only_claims_with_other_evidence_are_compared(tmp_path) -> None:
    claim = next(claim for claim in CLAIMS if claim.effects and (RESULTS / claim.name / "paired.json").exists())
    shutil.copytree(RESULTS / claim.name, tmp_path / claim.name)
    assert repeat.repeated(tmp_path) == []
    path = tmp_path / claim.name / "paired.json"
    pairs = json.loads(path.read_text())
    for pair in pairs:
        pair["difference"] += 0.001
    path.write_text(json.dumps(pairs))
    rows = repeat.repeated(tmp_path)
    assert {row["claim"] for row in rows} == {claim.name}
    assert len(rows) == len(claim.effects) + sum(len(m.outcome.effects) for m in claim.measures)


def test_what_is_stored_as_now_is_what_the_results_say() -> None:
    stored = json.loads(repeat.FILE.read_text())
    now = {(c.name, e.arm, e.baseline, e.outcome): e for c in CLAIMS for e in effects_of(c)}
    for row in stored:
        effect = now[row["claim"], row["arm"], row["baseline"], row["outcome"]]
        assert (effect.difference, effect.low, effect.high) == (
            row["now"]["difference"],
            row["now"]["low"],
            row["now"]["high"],
        ), "python claims/repeat.py FOLDER, or without results/repeated.json"
