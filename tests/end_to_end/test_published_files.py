"""Unified fine-tuning on rows of the files that UFT's authors published. Skipped where the files are not."""

from pathlib import Path

import pyarrow.parquet
import pytest

from fixtures.small_runs import REINFORCED, rows, small_spec
from posttrain.pretraining.architecture import Shape, new_model
from posttrain.pretraining.corpora import authors
from posttrain.runs.display import Silent
from posttrain.runs.execute import run

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "uft"
FILES = ("countdown-train.parquet", "knights-and-knaves-train.parquet")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published files are not here")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = authors.tokenizer()
    tokenizer.save_pretrained(folder)
    shape = Shape(hidden=16, layers=1, heads=2, key_value_heads=1, feed_forward=32, context=authors.SIZE.shape.context)
    new_model(shape, len(tokenizer), tokenizer.eos_token_id, 0).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_a_random_model_trains_on_a_few_rows(name, model, tmp_path):
    few = tmp_path / name
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(FOLDER / name).slice(0, 80), few)
    spec = small_spec(
        "uft",
        model,
        tmp_path / "run",
        data=str(few),
        steps=2,
        training_examples=20,
        evaluation_examples=2,
        evaluation_tokens=4,
        base_samples=0,
        arguments={"reinforcement": REINFORCED, "hints": {"start": 1.0, "end": 1.0}},
    )
    summary = run(spec, Silent())
    metrics = rows(tmp_path / "run" / "metrics.jsonl")
    assert summary["steps"] == len(metrics) == 2
    assert [row["hint_fraction"] for row in metrics] == [1.0, 0.0]
    assert metrics[0]["loss/hint likelihood"] > 0
    assert summary["n"] == 2
