import json

import pytest
import yaml

from fixtures.pages import headings, outside_references, parsed, table_with, words
from fixtures.run_folders import write_rows, write_run
from posttrain.errors import UserError
from posttrain.report.run_page import write_run_page

REWARD_CHARTS = {"Reward", "Hint fraction", "Informative groups", "Form of the answers", "Entropy estimate"}


def page_of(folder):
    return parsed(write_run_page(folder))


@pytest.mark.parametrize("method", ["uft", "sft", "rft", "sft_rft", "r3", "staged"])
def test_every_methods_page_is_well_formed_and_loads_nothing(tmp_path, method):
    path = write_run_page(write_run(tmp_path / "run", method, steps=60))
    page = parsed(path)
    assert path.name == "report.html"
    assert outside_references(page) == []
    assert not any(loading in path.read_text() for loading in ("@import", "url("))


def test_headline_has_the_last_accuracy_and_the_base(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=60)
    summary = json.loads((run / "summary.json").read_text())
    headline = words(next(page_of(run).iter("h1")))
    assert headline.startswith("UFT on countdown")
    assert f"{100 * summary['accuracy']:.1f}%" in headline
    assert "1.6%" in headline


def test_a_run_with_hints_shows_reward_by_origin(tmp_path):
    page = page_of(write_run(tmp_path / "run", "uft", steps=60))
    assert set(headings(page)) >= REWARD_CHARTS | {"Loss: policy", "Loss: hint likelihood", "Tokens so far"}
    assert "after a hint" in words(page)
    assert "from scratch" in words(page)


def test_a_run_without_hints_has_no_hint_chart(tmp_path):
    page = page_of(write_run(tmp_path / "run", "rft", steps=60))
    assert "Reward" in headings(page)
    assert "Hint fraction" not in headings(page)
    assert "after a hint" not in words(page)


def test_a_supervised_run_has_no_reward_charts(tmp_path):
    page = page_of(write_run(tmp_path / "run", "sft", steps=60))
    assert not REWARD_CHARTS & set(headings(page))
    assert "Loss: likelihood" in headings(page)
    assert "What was shown" in headings(page)


def test_an_interrupted_run_says_so_and_leaves_unknown_what_is_unknown(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=100, done=30)
    page = page_of(run)
    assert "This run has not finished: 30 steps are on record" in words(page)
    assert "at step 25" in words(page)
    costs = next(element for element in page.iter("dl") if "time in all" in words(element))
    assert "time in all unknown" in words(costs)


def test_a_run_that_was_stopped_before_its_first_step_has_a_page(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=100, done=30)
    for name in ("metrics.jsonl", "evaluations.jsonl", "rollouts.jsonl", "base.json"):
        (run / name).unlink()
    page = page_of(run)
    assert "no result yet" in words(next(page.iter("h1")))
    tiles = [words(tile) for tile in page.iter("dd")][:5]
    assert tiles == [
        "unknownunknown",
        "unknownunknown",
        "unknownbase unknown",
        "unknownunknown tokens",
        "unknownunknown",
    ]


def test_a_row_that_was_torn_off_is_left_out(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=100, done=30)
    whole = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(whole + '{"step": 31, "stage": "rein')
    assert "30 steps are on record" in words(page_of(run))


def test_unknown_numbers_are_gaps_not_zeros(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows[10:20]:
        row["entropy_estimate"] = None
    write_rows(run / "metrics.jsonl", rows)
    page = page_of(run)
    chart = next(figure for figure in page.iter("figure") if words(next(figure.iter("h3"))) == "Entropy estimate")
    lines = [element.get("points").split() for element in chart.iter("polyline")]
    assert [len(points) for points in lines] == [10, 20]


def test_null_in_the_summary_is_unknown(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps({**summary, "flops": None, "tokens_sampled": float("nan")}))
    costs = next(element for element in page_of(run).iter("dl") if "operations" in words(element))
    names, values = [words(e) for e in costs.iter("dt")], [words(e) for e in costs.iter("dd")]
    told = dict(zip(names, values))
    assert told["operations"] == told["tokens sampled"] == "unknown"
    assert told["completions sampled"] == f"{summary['completions_sampled']:,}"


def test_costs_are_those_of_the_summary(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    summary = json.loads((run / "summary.json").read_text())
    page = words(page_of(run))
    for key in ("completions_sampled", "tokens_sampled", "tokens_trained", "updates"):
        assert f"{summary[key]:,}" in page


def test_rollouts_are_shown_as_they_are(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=40)
    text = write_run_page(run).read_text()
    assert "&lt;answer&gt; 44 + (19 + 35) &lt;/answer&gt;" in text
    assert "<answer>" not in text
    assert "<think>" not in text


def test_markup_and_control_characters_in_answers_do_no_harm(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    sampled = "<script>alert(1)</script></td>\x00\x1b[31m\u2028\x85\ud800 {{ 7 * 7 }} \N{GRINNING FACE}"
    lines = [json.dumps({**row, "sampled": sampled, "reason": "<b>&amp;"}) + "\n" for row in rows]
    (run / "rollouts.jsonl").write_text("".join(lines))
    page = page_of(run)
    assert outside_references(page) == []
    assert "{{ 7 * 7 }} \N{GRINNING FACE}" in words(page)
    assert "\N{SYMBOL FOR NULL}\N{SYMBOL FOR ESCAPE}[31m" in words(page)
    assert "<b>&amp;" in words(page)


def test_separators_inside_an_answer_do_not_end_a_row(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    write_rows(run / "rollouts.jsonl", [{**row, "sampled": "one\u2028two\x85three"} for row in rows])
    assert "three" not in words(page_of(write_run(tmp_path / "other", "rft", steps=40)))
    assert "two" in words(page_of(run))


def test_what_was_given_is_marked_and_what_was_sampled_is_not(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=40)
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    write_rows(run / "rollouts.jsonl", [{**row, "given": "GIVEN", "sampled": "SAMPLED"} for row in rows])
    page = page_of(run)
    marked = [words(element) for element in page.iter("mark")]
    assert "GIVEN" in marked
    assert not any("SAMPLED" in text for text in marked)
    assert "GIVENSAMPLED" in words(page)


def test_samples_come_from_the_beginning_the_middle_and_the_end(tmp_path):
    page = page_of(write_run(tmp_path / "run", "uft", steps=100))
    assert [words(element) for element in page.iter("h4")] == [
        "Early: step 1 reinforced",
        "Middle: step 51 reinforced",
        "Late: step 96 reinforced",
    ]


def test_samples_of_two_stages_are_those_that_were_sampled(tmp_path):
    page = page_of(write_run(tmp_path / "run", "sft_rft", steps=100))
    assert all("reinforced" in words(element) for element in page.iter("h4"))
    assert "stage: supervised" in words(page)


def test_reasons_are_counted(tmp_path):
    run = write_run(tmp_path / "run", "rft", steps=40)
    rows = [json.loads(line) for line in (run / "heldout.jsonl").read_text().splitlines()]
    table = table_with(page_of(run), "verifier's reason")
    counts = {row[0]: row[2] for row in table[1:]}
    assert sum(int(value) for value in counts.values()) == len(rows)
    assert counts["right"] == str(sum(row["reason"] == "right" for row in rows))


def test_recipe_and_versions_are_on_the_page(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=40)
    page = page_of(run)
    shown = "".join(next(page.iter("pre")).itertext())
    assert yaml.safe_load(shown) == yaml.safe_load((run / "recipe.yaml").read_text())
    assert "torch2.9.1" in words(page).replace(" ", "")


def test_writing_twice_gives_the_same_page_and_leaves_nothing_else(tmp_path):
    run = write_run(tmp_path / "run", "uft", steps=40)
    first = write_run_page(run).read_bytes()
    before = sorted(path.name for path in run.iterdir())
    assert write_run_page(run).read_bytes() == first
    assert sorted(path.name for path in run.iterdir()) == before


def test_long_runs_do_not_make_heavy_pages(tmp_path):
    path = write_run_page(write_run(tmp_path / "run", "uft", steps=3000, every=500))
    assert path.stat().st_size < 200_000


def test_a_folder_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is no run: it has no recipe\.yaml"):
        write_run_page(tmp_path)
    assert list(tmp_path.iterdir()) == []
