import json
import subprocess
import sys

import pytest

from posttrain.errors import UserError
from posttrain.theory.annealing import AnnealingSettings
from posttrain.theory.experiment import PRACTICAL, run_theory
from posttrain.theory.exploration import ExplorationSettings
from posttrain.theory.plot import draw_exploration
from posttrain.theory.rows import ExplorationRow

BRIEF = AnnealingSettings(steps=5, hint_steps=3)


def small(out, on_progress=lambda done, total: None, workers=1, settings=PRACTICAL):
    return run_theory(out, 3, on_progress, (2, 3), (4,), workers, settings, BRIEF)


def test_it_writes_both_lists_and_both_pictures(tmp_path):
    report = small(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        "annealing.json",
        "theory.json",
        "theory.png",
        "theory.svg",
    ]
    rows = json.loads((tmp_path / "new" / "folder" / "theory.json").read_text())
    assert len(rows) == 3 * (2 + 2 + 1)
    assert list(rows[0]) == ["height", "branching", "method", "seed", "leaves", "solved", "pass_at_1"]
    assert {(row["height"], row["method"]) for row in rows} == {
        (2, "rft"),
        (2, "uft"),
        (3, "rft"),
        (3, "uft"),
        (4, "uft"),
    }
    assert all(row["solved"] is True and row["pass_at_1"] >= 0.5 and row["branching"] == 3 for row in rows)
    arms = json.loads((tmp_path / "new" / "folder" / "annealing.json").read_text())
    assert len(arms) == 3 * 2 * 5
    assert set(arms[0]) == {"method", "height", "branching", "seed", "pass_at_1", "leaves"}
    assert {row["leaves"] for row in arms} == {5 * 8 * 4}
    assert all(path.stat().st_size > 0 for path in report.files)


def test_progress_counts_every_run(tmp_path):
    seen = []
    small(tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 45) for done in range(1, 46)]


def test_the_number_of_processes_changes_nothing(tmp_path):
    one, two = small(tmp_path / "one"), small(tmp_path / "two", workers=2)
    assert (one.exploration, one.annealing) == (two.exploration, two.annealing)
    for name in ("theory.json", "annealing.json", "theory.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_capped_runs_are_written_as_unsolved(tmp_path):
    report = small(tmp_path, settings=ExplorationSettings(leaf_cap=4))
    rows = json.loads((tmp_path / "theory.json").read_text())
    assert all(row["solved"] is False and row["pass_at_1"] < 0.5 for row in rows)
    assert all(summary.rft is None and summary.ratio is None for summary in report.heights)
    assert report.uft_growth is None
    assert "given up unsolved" in (tmp_path / "theory.svg").read_text()


@pytest.mark.parametrize(
    ("seeds", "heights", "uft_only", "workers"),
    [(0, (2,), (), 1), (1, (), (3,), 1), (1, (0,), (), 1), (1, (2,), (99,), 1), (1, (2,), (2,), 1), (1, (2,), (), 0)],
)
def test_sizes_that_mean_nothing_are_refused_before_anything_is_written(tmp_path, seeds, heights, uft_only, workers):
    with pytest.raises(UserError):
        run_theory(tmp_path / "out", seeds, lambda done, total: None, heights, uft_only, workers)
    assert not (tmp_path / "out").exists()


def test_one_height_can_still_be_drawn(tmp_path):
    rows = [ExplorationRow(5, 3, method, 0, 100, True, 0.6) for method in ("rft", "uft")]
    assert all(path.stat().st_size > 0 for path in draw_exploration(rows, tmp_path))


def test_importing_the_experiment_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, posttrain.theory.experiment; "
        "sys.exit(', '.join({'torch', 'matplotlib', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
