"""The base model inside the package: small, fit, and able to write what the demonstration and the control need."""

import json

import pytest
import torch

from posttrain.loading import load_policy
from posttrain.model_folder import EMBEDDED_FOLDER
from posttrain.pretraining.fitness import COUNTDOWN, FITNESS, Fitness, require
from posttrain.runtime import local_runtime
from posttrain.settings.presets import preset
from posttrain.settings.tasks import build_task
from posttrain.tasks.key_paths import KeyPaths

LARGEST_BYTES, MOST_PARAMETERS = 8_000_000, 3_000_000
TASKS = [build_task(preset("tiny").task or {}), COUNTDOWN, KeyPaths(horizon=3, key_length=3, symbols=16)]


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in EMBEDDED_FOLDER.iterdir()) <= LARGEST_BYTES
    assert load_policy(EMBEDDED_FOLDER, local_runtime("float32")).parameters_count <= MOST_PARAMETERS


def test_its_weights_are_trained_in_float32() -> None:
    policy = load_policy(EMBEDDED_FOLDER, local_runtime("auto"))
    assert {parameter.dtype for parameter in policy.trainable()} == {torch.float32}


def test_it_was_measured_to_be_fit() -> None:
    require(Fitness(**json.loads((EMBEDDED_FOLDER / FITNESS).read_text())))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_its_tokenizer_covers_its_tasks(task: KeyPaths) -> None:
    policy = load_policy(EMBEDDED_FOLDER, local_runtime("float32"))
    for example in task.examples("train", 50, 3):
        written = example.prompt + example.demonstrations[0].text
        assert policy.text.decode(policy.text.encode(written)) == written
        assert policy.text.length(example) <= policy.context
