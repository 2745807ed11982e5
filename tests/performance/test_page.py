"""The page is what the stored results give, and says what was missed."""

import json

import pytest

from benchmarks import page

RESULT = {
    "work": {"name": "sft-1M-short", "size": "1M", "prompt_tokens": 26, "completion_tokens": 19, "prompts": 256,
             "completions": 1},
    "tokens": 11520, "wanted": 4.0, "peer": "trl", "busy": 0.5,
    "contestants": {
        "posttrain": {"versions": {"torch": "2"}, "seconds": {"median": 0.5, "least": 0.4, "most": 0.6}},
        "trl": {"versions": {"trl": "1"}, "seconds": {"median": 1.0, "least": 0.9, "most": 1.1}},
    },
    "ratio": {"median": 2.0, "least": 1.5, "most": 2.5},
    "least": {"seconds": 0.2, "passes": 0.2, "turns": 0.0, "turns_reading": 0.0, "update": 0.0, "operations": 6e10},
    "machine": {"processor": "P", "extensions": ["avx2"], "cores": 2, "cores_used": 1, "memory_gib": 8, "system": "S",
                "python": "3", "commit": "c", "load": 0.0},
}  # fmt: skip


def test_the_page_is_generated_from_the_results():
    assert page.PAGE.read_text() == page.page_text(), "python -m benchmarks.page"


def test_a_result_becomes_a_row_and_a_missed_ratio_says_what_is_possible(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "sft-1M-short.json").write_text(json.dumps(RESULT))
    text = page.page_text()
    assert "| 1M | 26 + 19 | 256 | 0.50 s | 1.00 s | 23,040 | **2.00** [1.50, 2.50] | 4 | 0.20 s | 40% | 50% |" in text
    assert "| sft-1M-short | 4 | 2.00 | 5.0 | 60 GFLOP | 300 GFLOP/s |" in text
    assert text.count("Not measured yet.") == 7


@pytest.mark.parametrize("wanted", [None, 2.0])
def test_what_was_reached_or_not_promised_is_not_listed_as_missed(tmp_path, monkeypatch, wanted):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "sft-1M-short.json").write_text(json.dumps({**RESULT, "wanted": wanted}))
    assert "not reached" not in page.page_text()


def test_an_axis_that_reads_a_file_says_how_long_that_took(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    seconds = {"median": 0.1, "least": 0.1, "most": 0.1}
    plain = {"value": 1, "seconds": seconds, "memory_mib": 500.0}
    filed = {**plain, "value": 1000, "reading_s": 1.5, "fitting_s": 20.0}
    axes = {name: {"title": name, "fixed": "", "rows": [row]} for name, row in (("a", plain), ("b", filed))}
    (tmp_path / "growth.json").write_text(json.dumps(axes))
    text = page.page_text()
    assert "| | seconds | × | memory, MiB |\n|---|---|---|---|\n| 1 | 0.100 | 1.00 | 500 |\n" in text
    assert "| memory, MiB | reading, s | looking whether all fit, s |\n|---|---|---|---|---|---|\n" in text
    assert "| 1,000 | 0.100 | 1.00 | 500 | 1.5 | 20.0 |\n" in text


def test_what_another_processor_gave_stands_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    (tmp_path / "sft-1M-short.json").write_text(json.dumps(RESULT))
    assert "another processor" not in page.page_text()
    (tmp_path / "elsewhere").mkdir()
    there = {"ratio": {"median": 3.0, "least": 2.9, "most": 3.1}, "least": {**RESULT["least"], "passes": 0.1}}
    (tmp_path / "elsewhere" / "sft-1M-short.json").write_text(json.dumps({**RESULT, **there}))
    row = "| sft-1M-short | 4 | **2.00** [1.50, 2.50] | 300 GFLOP/s | **3.00** [2.90, 3.10] | 600 GFLOP/s |"
    assert row in page.page_text()


def test_an_earlier_run_stands_beside_this_one_and_other_settings_are_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    theirs = RESULT["contestants"]["trl"]

    def run(settings, seconds, ratio):
        trl = {**theirs, "settings": settings, "seconds": {"median": seconds, "least": 0.9, "most": 1.1}}
        return {**RESULT, "contestants": {**RESULT["contestants"], "trl": trl}, "ratio": {**RESULT["ratio"], **ratio}}

    (tmp_path / "earlier").mkdir()
    (tmp_path / "sft-1M-short.json").write_text(json.dumps(run({"rows": 8}, 1.0, {"median": 2.0})))
    earlier = tmp_path / "earlier" / "sft-1M-short.json"
    earlier.write_text(json.dumps(run({"rows": 8}, 1.25, {"median": 2.5})))
    assert "| sft-1M-short | **2.00** | **2.50** | 0.50 s | 0.50 s | 1.00 s | 1.25 s |" in page.page_text()
    earlier.write_text(json.dumps(run({"rows": 4}, 1.25, {"median": 2.5})))
    assert "| 1.00 s | 1.25 s * |" in page.page_text()
