"""The programme: what is given to everybody, and what the peers' settings are."""

import json
from dataclasses import replace

import pytest

from benchmarks import tuning
from benchmarks.contestants.work import Work, reward, rows, text
from benchmarks.harness import ContestantFailed
from benchmarks.works import ENTRIES, peer

DENSE = Work("grpo-toy", "grpo", "1M", 64, 5, 4, 40, 4, live_groups=2)


def test_names_are_different_and_say_what_is_done():
    names = [entry.work.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert {entry.work.kind for entry in ENTRIES if entry.quick} == {"sft", "grpo", "uft", "sampling"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.work.name)
def test_one_group_in_twenty_is_alive_where_the_name_says_so(entry):
    work = entry.work
    if "sparse" in work.name:
        assert 0.04 <= work.live_groups / work.prompts <= 0.06
    elif work.kind in ("grpo", "uft"):
        assert work.live_groups == work.prompts
    assert peer(work.kind) == ("vllm" if work.kind == "sampling" else "trl")


def test_rows_are_the_same_for_everybody_and_other_ones_in_every_repetition():
    assert rows(DENSE, 3) == rows(DENSE, 3)
    assert rows(DENSE, 3) != rows(DENSE, 4)
    chosen = rows(DENSE, 0)
    assert sum(row.live for row in chosen) == 2
    assert {len(row.prompt) for row in chosen} == {5}
    assert {len(row.completion) for row in chosen} == {3}
    assert all(0 < token < 64 for row in chosen for token in row.prompt + row.completion)


def test_tokens_that_a_rate_counts():
    assert DENSE.tokens == DENSE.sampled_tokens == 40 * 4 * 4
    assert Work("sft", "sft", "1M", 64, 5, 4, 40).tokens == 40 * 9
    assert Work("uft", "uft", "1M", 64, 5, 4, 40, 2, hint_tokens=1).tokens == 40 * 2 * 3


def test_rewards_differ_in_live_groups_only():
    written = [text([1, 2, token]) for token in range(1, 60)]
    assert len({reward(one, live=True) for one in written}) == len(written)
    assert {reward(one, live=False) for one in written} == {0.0}


def test_the_fastest_candidate_competes(tmp_path):
    choice = replace(tuning.PEERS, file=tmp_path / "results" / "peer_settings.json")
    assert tuning.settings_of(DENSE, choice) == choice.candidates["grpo"][0]

    def seconds(work, settings):
        if settings["attention"] == "eager":
            raise ContestantFailed
        return 1.0 / settings["rows_per_pass"]

    tuning.tune([DENSE], seconds, choice)
    assert tuning.settings_of(DENSE, choice) == {"attention": "sdpa", "rows_per_pass": tuning.EVERYTHING}
    tried = json.loads(choice.file.read_text())["grpo 1M, 5 + 4, 40 × 4"]
    assert {one["seconds"] for one in tried if one["settings"]["attention"] == "eager"} == {None}


def test_only_candidates_that_cut_the_step_evenly_are_tried(tmp_path):
    tried, choice = [], replace(tuning.PEERS, file=tmp_path / "x.json")
    tuning.tune([DENSE], lambda work, settings: tried.append(settings["rows_per_pass"]) or 1.0, choice)
    assert set(tried) == {tuning.EVERYTHING, 32, 8}


def test_where_nothing_is_to_be_chosen_nothing_is_tried(tmp_path):
    tried, choice = [], replace(tuning.OURS, file=tmp_path / "x.json")
    sampling = Work("sampling", "sampling", "1M", 64, 5, 4, 40)
    tuning.tune([DENSE, sampling], lambda work, settings: tried.append(work.kind) or 1.0, choice)
    assert set(tried) == {"grpo"}
    assert tuning.settings_of(sampling, choice) == {}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.work.name)
def test_every_work_has_a_candidate_that_fits_into_memory(entry):
    for one in tuning.possible(entry.work, tuning.PEERS):
        rows = min(one.get("rows_per_pass", 1), entry.work.rows)
        assert rows * (entry.work.prompt_tokens + entry.work.completion_tokens) <= tuning.TOKENS_PER_PASS
    assert tuning.possible(entry.work, tuning.PEERS)
