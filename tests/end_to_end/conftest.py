"""A base that now and then solves key paths: random weights, then a second of imitation."""

import dataclasses
from pathlib import Path

import pytest

from fixtures.folders import model_folder
from fixtures.small_runs import small_spec
from posttrain.runs.display import Silent
from posttrain.runs.execute import run


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, itself the checkpoint of a run."""
    folder = tmp_path_factory.mktemp("base")
    spec = small_spec("sft", model_folder(folder / "random", "llama"), folder / "run", steps=40, evaluate_every=100)
    supervision = {"supervision": {"prompts_per_step": 12, "learning_rate": 1e-2}}
    run(dataclasses.replace(spec, arguments=supervision, base_samples=0), Silent())
    return folder / "run" / "checkpoint"
