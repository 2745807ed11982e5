"""This library as a contestant does exactly the work that is counted."""

import pytest
import torch

from benchmarks import models
from benchmarks.contestants.with_posttrain import CHECKER, examples, repetition, stage, write
from benchmarks.contestants.work import END, Work, rows, text
from posttrain.data.reading import read_examples
from posttrain.loading import load_policy
from posttrain.runtime import local_runtime

TOY = models.Size("toy", width=32, inner=48, layers=2, heads=2, key_value_heads=1, vocabulary=64)
WORKS = {
    "sft": Work("sft", "sft", "toy", 64, 5, 4, 3),
    "dense": Work("dense", "grpo", "toy", 64, 5, 4, 3, 2, live_groups=3),
    "sparse": Work("sparse", "grpo", "toy", 64, 5, 4, 3, 2, live_groups=1),
    "uft": Work("uft", "uft", "toy", 64, 5, 6, 3, 2, hint_tokens=2, live_groups=3),
    "sampling": Work("sampling", "sampling", "toy", 64, 5, 4, 3, 2),
}
TRAINED = {"sft": 3 * 9, "dense": 6 * 9, "sparse": 2 * 9, "uft": 6 * 11}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(models, "FOLDER", tmp_path_factory.mktemp("models"))
    yield models.model_folder(TOY)
    patch.undo()


@pytest.mark.parametrize("name", WORKS)
def test_a_repetition_does_the_counted_work(folder, name):
    work, runtime = WORKS[name], local_runtime("float32")
    measure = repetition(work, load_policy(folder, runtime), runtime)
    for _ in range(2):
        found = measure()
        assert found["tokens_sampled"] == work.sampled_tokens
        assert found.get("tokens_trained") == TRAINED.get(name)
        assert found["seconds"] > 0
        assert found["processor_seconds"] > 0


def test_no_text_can_end_early(folder):
    policy = load_policy(folder, local_runtime("float32"))
    tokens = torch.randint(1, 64, (8, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        probabilities = policy.model(tokens).logits.softmax(-1)
    assert float(probabilities[..., END].max()) == 0.0
    assert float(probabilities.max()) < 0.5


def test_a_larger_data_set_has_other_examples_and_the_same_step(tmp_path):
    work, path = WORKS["sft"], tmp_path / "rows.jsonl"
    chosen = list(examples(work, 10))
    assert len({one.id for one in chosen}) == len({one.prompt for one in chosen}) == 10
    assert [one.prompt for one in chosen[:3]] == [text(row.prompt) for row in rows(work, 0)]
    write(work, 10, path)
    read = read_examples(path, CHECKER).all_examples
    assert [texts(one) for one in read] == [texts(one) for one in chosen]
    small, large = stage(work), stage(work, read)
    assert len(large.streams[0].examples) == 10
    assert small.streams[0].prompts_per_step == large.streams[0].prompts_per_step == 3


def texts(example):
    return example.prompt, example.answer, example.demonstrations
