"""What of a checkpoint is not weights."""

import torch

from posttrain.runs import checkpoint


def test_a_checkpoint_of_a_gpu_can_be_read_without_one(monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save({"optimiser": torch.arange(3.0)}, tmp_path / checkpoint.TRAINER)
    state = checkpoint.read(tmp_path)
    assert state["optimiser"].tolist() == [0.0, 1.0, 2.0]
    assert state["optimiser"].device.type == "cpu"
