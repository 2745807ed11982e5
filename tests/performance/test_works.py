"""The programme: what is given to everybody, and what the peers' settings are."""

import json
from dataclasses import replace

import pytest

from benchmarks import tuning
from benchmarks.contestants.work import Work, reward, rows, text
from benchmarks.harness import ContestantFailed
from benchmarks.works import ENTRIES, peer

MACHINE = {"processor": "one of many"}
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


class Trying:
    """Takes as long as it is told, alone; in turns the other way round."""

    def __init__(self, seconds=lambda work, settings: 1.0):
        self.seconds, self.tried, self.turns = seconds, [], []

    def alone(self, work, settings):
        self.tried.append((work, settings))
        return self.seconds(work, settings)

    def in_turns(self, work, settings):
        self.turns.append(list(settings))
        return [1 / self.seconds(work, one) for one in settings]


def test_the_fastest_candidate_competes(tmp_path):
    choice = replace(tuning.PEERS, file=tmp_path / "results" / "peer_settings.json")
    assert tuning.settings_of(DENSE, choice) == choice.candidates["grpo"][0]

    def seconds(work, settings):
        if settings["attention"] == "eager":
            raise ContestantFailed
        return 1.0 if settings == {"attention": "sdpa", "rows_per_pass": tuning.EVERYTHING} else 2.0

    trying = Trying(seconds)
    tuning.tune([DENSE], trying, MACHINE, choice)
    assert tuning.settings_of(DENSE, choice) == {"attention": "sdpa", "rows_per_pass": tuning.EVERYTHING}
    assert not trying.turns
    found = json.loads(choice.file.read_text())["grpo 1M, 5 + 4, 40 × 4"]
    assert {one["seconds"] for one in found["tried"] if one["settings"]["attention"] == "eager"} == {None}
    assert found["machine"] == MACHINE


def test_candidates_that_come_close_take_turns_and_that_decides(tmp_path):
    choice = replace(tuning.PEERS, file=tmp_path / "x.json")
    first, second, third, *others = tuning.possible(DENSE, choice)
    known = {str(first): 1.0, str(second): 1.2, str(third): 1.3}
    trying = Trying(lambda work, settings: known.get(str(settings), 2.0))
    tuning.tune([DENSE], trying, MACHINE, choice)
    assert trying.turns == [[first, second]]
    assert tuning.settings_of(DENSE, choice) == second
    assert others


def test_of_equally_fast_candidates_three_take_turns():
    tried = [{"settings": {"n": n}, "seconds": 1.0, "in_turns": None} for n in range(5)]
    tuning.let_take_turns(DENSE, tried, Trying())
    assert [one["in_turns"] for one in tried] == [1.0, 1.0, 1.0, None, None]


def test_only_candidates_that_cut_the_step_evenly_are_tried(tmp_path):
    trying, choice = Trying(), replace(tuning.PEERS, file=tmp_path / "x.json")
    tuning.tune([DENSE], trying, MACHINE, choice)
    assert {settings["rows_per_pass"] for _, settings in trying.tried} == {tuning.EVERYTHING, 32, 8}


def test_of_works_that_differ_in_rewards_alone_the_first_is_tried(tmp_path):
    trying, choice = Trying(), replace(tuning.OURS, file=tmp_path / "x.json")
    sparse = replace(DENSE, name="sparse", live_groups=2)
    tuning.tune([DENSE, sparse], trying, MACHINE, choice)
    assert {work.name for work, _ in trying.tried} == {DENSE.name}


def test_where_nothing_is_to_be_chosen_nothing_is_tried(tmp_path):
    trying, choice = Trying(), replace(tuning.OURS, file=tmp_path / "x.json")
    sampling = Work("sampling", "sampling", "1M", 64, 5, 4, 40)
    tuning.tune([DENSE, sampling], trying, MACHINE, choice)
    assert {work.kind for work, _ in trying.tried} == {"grpo"}
    assert tuning.settings_of(sampling, choice) == {}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.work.name)
def test_every_work_has_a_candidate_that_fits_into_memory(entry):
    for one in tuning.possible(entry.work, tuning.PEERS):
        rows = min(one.get("rows_per_pass", 1), entry.work.rows)
        assert rows * (entry.work.prompt_tokens + entry.work.completion_tokens) <= tuning.TOKENS_PER_PASS
    assert tuning.possible(entry.work, tuning.PEERS)
