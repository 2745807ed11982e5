"""What is measured on a GPU, in small and on a CPU: that it counts what it says, not how fast it is."""

import json
import math
from contextlib import nullcontext

import pytest
import torch

from benchmarks import gpu, models, sections
from benchmarks.contestants.with_generate import Generating
from benchmarks.works import SIZES
from fixtures.sequences import continued
from posttrain.batching import collate
from posttrain.forward import Forward
from posttrain.loading import load_policy
from posttrain.runtime import local_runtime
from posttrain.sampling import Sampling
from posttrain.types import Origin
from tolerances import FLOAT32_MODEL

TOY = models.Size("toy", width=32, inner=48, layers=2, heads=2, key_value_heads=1, vocabulary=64)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    monkeypatch.setitem(SIZES, "toy", TOY)
    return TOY


def test_every_share_is_what_was_counted_over_what_it_took(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(gpu, "WARM_UP", 0)
    monkeypatch.setattr(gpu, "operations_per_second", lambda device: 1e9)
    monkeypatch.setattr(gpu, "bytes_per_second", lambda device: 1e9)
    compiled = []
    monkeypatch.setattr("posttrain.loading.CompiledLayers", lambda layers: compiled.append(len(layers)) or nullcontext)
    found = {}
    for part in gpu.parts(toy, local_runtime("float32", "cpu"), (5, 4), 2):
        found |= part
    assert page_with(found, tmp_path).count("toy") == 3
    step, text, around = found["supervised"], found["sampled"], found["reinforced"]
    assert math.isclose(step["share"], step["operations"] / 1e9 / step["seconds"][0])
    assert math.isclose(text["share"], text["bound"] / text["seconds"][0])
    assert math.isclose(around["ratio"], around["seconds"][0][1] / around["seconds"][0][0])
    assert compiled == [TOY.layers]
    for one in found["decisions"]:
        assert math.isclose(one["ratio"], one["seconds"][0][1] / one["seconds"][0][0])


def page_with(found, folder):
    (folder / "gpu.json").write_text(json.dumps(found))
    return "\n".join(sections.gpu(folder))


def test_rates_of_the_device_are_of_what_was_done():
    cpu = torch.device("cpu")
    assert gpu.operations_per_second(cpu, 64) > 1e6
    assert gpu.bytes_per_second(cpu, 1 << 16) > 1e6


def test_what_generate_writes_has_the_log_probabilities_of_a_training_pass(toy):
    policy = load_policy(str(models.model_folder(toy)), local_runtime("float32", "cpu"))
    prompts, engine = [torch.tensor([3, 4, 5]), torch.tensor([6, 7, 8])], Generating()
    engine.load(policy, 7)
    groups = engine.generate(prompts, Sampling(1.0, 6), 3, torch.Generator())
    assert engine.version == 7
    assert [[len(c.tokens) for c in group] for group in groups] == [[6] * 3] * 2
    batch = collate(continued(prompts, groups), 0, policy.device)
    sampled = batch.origin == int(Origin.SAMPLED)
    with torch.no_grad():
        again = Forward(policy, batch, sampled).logprobs[sampled]
    recorded = torch.cat([c.logprobs for group in groups for c in group])
    torch.testing.assert_close(again, recorded, rtol=0, atol=FLOAT32_MODEL)
