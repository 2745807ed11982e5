"""A diverging run of a comparison is a result, not the end of the others."""

import json

import pytest

from end_to_end.test_comparing import Here, comparison, numbers
from fixtures.small_runs import ARGUMENTS, SUPERVISED, rows
from posttrain.errors import UserError
from posttrain.runs import jobs
from posttrain.runs.compare import compare
from posttrain.runs.display import Silent

DIVERGING = {"sft": {"supervision": {**SUPERVISED, "learning_rate": 1e35}}, "uft": ARGUMENTS["uft"]}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(jobs, "ProcessPoolExecutor", Here)


def test_a_diverging_candidate_is_never_chosen(tmp_path, base):
    spec = comparison(base, tmp_path, arms={"sft": "sft"}, seeds=1, tune={"learning_rate": ("1e35", "1e-3")})
    assert compare(spec, Silent()) == compare(spec, Silent())
    lost, kept = json.loads((tmp_path / "tuning.json").read_text())["rows"]
    assert (lost["diverged"], lost["accuracy"], lost["chosen"]) == (True, None, False)
    assert (kept["diverged"], kept["chosen"]) == (False, True)
    assert "diverged" in (tmp_path / "report.html").read_text()
    (tuned,) = tmp_path.glob("tuning/*1e-3*")
    assert [row["step"] for row in rows(tuned / "evaluations.jsonl")] == [2], "the base is of the held-out problems"


def test_candidates_that_all_diverge_are_refused(tmp_path, base):
    spec = comparison(base, tmp_path, arms={"sft": "sft"}, seeds=1, tune={"learning_rate": ("1e35", "1e36")})
    with pytest.raises(UserError, match="sft diverged with every learning_rate"):
        compare(spec, Silent())


def test_a_diverged_seed_is_named_after_the_others_have_finished(tmp_path, base):
    spec = comparison(base, tmp_path, seeds=1, arguments=DIVERGING)
    for _ in range(2):
        with pytest.raises(UserError, match=r"sft with seed 0 diverged .* lower learning rate"):
            compare(spec, Silent())
        assert [row["method"] for row in numbers(tmp_path)] == ["uft"]


def test_a_base_of_another_evaluation_is_refused(tmp_path, base):
    compare(comparison(base, tmp_path, arms={"sft": "sft"}, seeds=1), Silent())
    note = tmp_path / "base_measured_for.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "evaluation_tokens": 5}))
    with pytest.raises(UserError, match="was measured with evaluation_tokens = 5, not 1024"):
        compare(comparison(base, tmp_path, arms={"sft": "sft"}, seeds=2), Silent())
