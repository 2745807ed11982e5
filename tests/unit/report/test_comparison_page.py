import json
from typing import Any

import pytest

from fixtures.pages import headings, outside_references, parsed, table_with, tables, words
from fixtures.run_folders import write_comparison
from posttrain.errors import UserError
from posttrain.report import formats
from posttrain.report.comparison_page import write_comparison_page

METHODS = ("sft", "rft", "uft")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_comparison(tmp_path_factory.mktemp("finished"), METHODS, seeds=2, steps=40)


@pytest.fixture(scope="module")
def page(finished):
    return parsed(write_comparison_page(finished))


def rewritten(folder, name, change):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(change(content)))


def test_page_is_well_formed_and_loads_nothing(finished, page):
    text = (finished / "report.html").read_text()
    assert outside_references(page) == []
    assert not any(loading in text for loading in ("@import", "url(", "<answer>"))


def test_all_sections_are_there(page):
    wanted = {"Results", "Differences", "The base before training", "Training", "What was sampled", "Tuning"}
    wanted |= {"Accuracy on held-out problems", "Accuracy by completions sampled", "Hint fraction"}
    assert wanted <= set(headings(page))
    assert "UFT: reward by origin of the row" in headings(page)
    assert "RFT: reward by origin of the row" not in headings(page)
    assert "UFT: answers begin with hints" in words(page)


def test_every_number_of_every_run_is_the_rows(finished, page):
    rows = json.loads((finished / "comparison.json").read_text())
    shown = table_with(page, "folder")
    assert len(shown) == 1 + len(rows)
    by_run = {cells[-1]: cells for cells in shown[1:]}
    for row in rows:
        credit = "none" if row["credit"] is None else row["credit"]
        assert by_run[row["run"]][1:-1] == [
            str(row["seed"]),
            f"{100 * row['accuracy']:.1f}%",
            f"[{100 * row['ci95'][0]:.1f}, {100 * row['ci95'][1]:.1f}]",
            f"{100 * row['valid_rate']:.1f}%",
            str(row["n"]),
            "0.0003",
            credit,
            str(row["steps"]),
            f"{row['completions_sampled']:,}",
            f"{row['tokens_sampled']:,}",
            f"{row['tokens_trained']:,}",
            formats.flops(row["flops"]),
            formats.duration(row["seconds"]),
        ]


def test_final_table_has_the_mean_and_each_seed(finished, page):
    rows = json.loads((finished / "comparison.json").read_text())
    shown = {cells[0]: cells for cells in table_with(page, "credit")[1:]}
    assert list(shown) == ["base, step 0", "SFT", "RFT", "UFT"]
    own = [row["accuracy"] for row in rows if row["method"] == "uft"]
    assert shown["UFT"][1] == f"{100 * sum(own) / 2:.1f}%"
    assert shown["UFT"][3] == " · ".join(f"{100 * value:.1f}" for value in own)


def test_interval_over_seeds_contains_the_mean(finished, page):
    shown = {cells[0]: cells for cells in table_with(page, "credit")[1:]}
    low, high = map(float, shown["UFT"][2].strip("[]").split(", "))
    assert low < float(shown["UFT"][1].rstrip("%")) < high


def test_an_arm_that_solves_nothing_still_has_an_interval(tmp_path):
    folder = write_comparison(tmp_path / "zero", METHODS, seeds=2, steps=40)
    for seed in (0, 1):
        path = folder / f"runs/rft-seed{seed}/heldout.jsonl"
        path.write_text(path.read_text().replace('"correct": true', '"correct": false'))
    shown = {cells[0]: cells for cells in table_with(parsed(write_comparison_page(folder)), "credit")[1:]}
    assert shown["RFT"][2] == "[0.0, 0.8]"


def test_differences_are_the_rows_seen_from_the_later_method(finished, page):
    rows = {(row["second"], row["first"]): row for row in json.loads((finished / "paired.json").read_text())}
    plot = next(element for element in page.iter("div") if element.get("class") == "forest")
    shown = [words(row) for row in plot][:-1]
    wanted = []
    for first, second in (("uft", "sft"), ("uft", "rft"), ("rft", "sft")):
        row = rows[first, second]
        ends = [-row["ci95"][1], -row["ci95"][0]]
        verdict = "shown" if row["shown"] else "not shown"
        told = f"{formats.points(-row['difference'])} {formats.interval(ends)}"
        wanted.append(f"{first.upper()} − {second.upper()}{told}{verdict}")
    assert shown == wanted


def test_tuning_shows_what_was_chosen(finished, page):
    rows = json.loads((finished / "tuning.json").read_text())["rows"]
    shown = next(table for table in tables(page) if table[0][-2:] == ["time", ""])
    chosen = [cells for cells in shown if cells[-1] == "chosen"]
    assert len(chosen) == sum(row["chosen"] for row in rows)
    assert ["UFT", "credit centred", "7.0%", "[2.0, 9.0]", "300", "1 min 32 s", "chosen"] in shown


def test_tuning_of_several_settings_at_once(tmp_path):
    folder = write_comparison(tmp_path / "both", METHODS, seeds=1, steps=40)
    row = {"method": "uft", "learning_rate": 3e-4, "credit": None, "accuracy": None, "n": 300, "seconds": 9.0}
    (folder / "tuning.json").write_text(json.dumps([{**row, "chosen": False}]))
    shown = next(table for table in tables(parsed(write_comparison_page(folder))) if table[0][-2:] == ["time", ""])
    assert shown[1] == ["UFT", "learning_rate 0.0003, credit unknown", "unknown", "unknown", "300", "9.0 s", ""]


def test_methods_come_in_one_order_with_one_colour_whatever_the_files_order(tmp_path, finished):
    other = write_comparison(tmp_path / "other", ("uft", "sft", "rft"), seeds=1, steps=40)
    page = parsed(write_comparison_page(other))
    assert [cells[0] for cells in table_with(page, "credit")[2:]] == ["SFT", "RFT", "UFT"]
    rule = ".c-uft{color:#1f5fa8}"
    assert rule in (other / "report.html").read_text()
    write_comparison_page(finished)
    assert rule in (finished / "report.html").read_text()


def test_one_seed_is_called_one_seed(tmp_path):
    folder = write_comparison(tmp_path / "one", METHODS, seeds=1, steps=40)
    page = parsed(write_comparison_page(folder))
    assert "One seed per arm" in words(page)
    row = next(r for r in json.loads((folder / "comparison.json").read_text()) if r["method"] == "uft")
    shown = {cells[0]: cells for cells in table_with(page, "credit")[1:]}
    assert shown["UFT"][2] == formats.interval(row["ci95"])


def test_unknown_numbers_are_never_zeros(tmp_path):
    folder = write_comparison(tmp_path / "nulls", METHODS, seeds=1, steps=40)
    unknown = dict.fromkeys(("accuracy", "ci95", "valid_rate", "tokens_sampled", "flops", "seconds"))

    def robbed(row: dict[str, Any]) -> dict[str, Any]:
        """A credit of ``None`` says that there is none; one that is not told is unknown."""
        return {k: v for k, v in {**row, **unknown}.items() if k != "credit"} if row["method"] == "rft" else row

    rewritten(folder, "comparison.json", lambda rows: [robbed(r) for r in rows])
    rewritten(
        folder,
        "paired.json",
        lambda rows: [{**r, "difference": None, "ci95": [None, None], "shown": False} for r in rows],
    )
    page = parsed(write_comparison_page(folder))
    shown = {cells[0]: cells for cells in table_with(page, "credit")[1:]}
    assert [shown["RFT"][i] for i in (1, 2, 3, 4, 6, 9, 11, 12)] == ["unknown"] * 8
    assert "unknown unknown" in words(page)
    assert "their difference was not tested" in words(next(page.iter("h1")))


def test_a_seed_without_a_number_makes_the_mean_unknown(tmp_path):
    folder = write_comparison(tmp_path / "half", METHODS, seeds=2, steps=40)

    def drop(rows):
        return [{**r, "accuracy": None} if (r["method"], r["seed"]) == ("uft", 1) else r for r in rows]

    rewritten(folder, "comparison.json", drop)
    shown = {cells[0]: cells for cells in table_with(parsed(write_comparison_page(folder)), "credit")[1:]}
    assert shown["UFT"][1] == "unknown"


def test_an_unfinished_comparison_has_a_page(tmp_path):
    folder = write_comparison(tmp_path / "early", METHODS, seeds=1, steps=40)
    for name in (
        "paired.json",
        "tuning.json",
        "base.json",
        "runs/uft-seed0/recipe.yaml",
        "runs/rft-seed0/metrics.jsonl",
    ):
        (folder / name).unlink()
    page = parsed(write_comparison_page(folder))
    assert "No differences have been computed" in words(page)
    assert "Tuning" not in headings(page)


def test_a_method_from_elsewhere_is_shown_after_the_packages_own(tmp_path):
    folder = write_comparison(tmp_path / "own", METHODS, seeds=1, steps=40)

    def rename(rows):
        return [{**r, "method": "my_<method>"} if r["method"] == "rft" else r for r in rows]

    rewritten(folder, "comparison.json", rename)
    page = parsed(write_comparison_page(folder))
    assert [cells[0] for cells in table_with(page, "credit")[2:]] == ["SFT", "UFT", "my_<method>"]


@pytest.mark.parametrize("content", [None, "[]"])
def test_a_folder_without_rows_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "comparison.json").write_text(content)
    with pytest.raises(UserError, match=r"no rows in comparison\.json"):
        write_comparison_page(tmp_path)
    assert not (tmp_path / "report.html").exists()
