"""Where frozen policies come from."""

import json
from pathlib import Path

import pytest
import torch

from fixtures.folders import VOCABULARY, model_folder
from fixtures.models import tiny_policy, weights
from posttrain.errors import UserError
from posttrain.frozen import FromFolder, Remembered, Snapshot
from posttrain.loading import load_policy
from posttrain.model_folder import EMBEDDED, EMBEDDED_FOLDER
from posttrain.policy import Policy
from posttrain.runtime import local_runtime


def test_a_snapshot_stays_where_the_policy_was(policy: Policy) -> None:
    frozen = Snapshot().start(policy, {})
    with torch.no_grad():
        next(iter(policy.model.parameters())).add_(1.0)
    assert all(torch.equal(value, weights(frozen)[name]) for name, value in weights(tiny_policy()).items())


def test_what_nobody_kept_cannot_be_remembered(policy: Policy) -> None:
    with pytest.raises(UserError, match=r"put Keep\('base'\) before"):
        Remembered("base").start(policy, {})


def test_another_model_of_the_same_tokenizer_comes_from_its_folder(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", "llama")
    student = load_policy(folder, local_runtime("float32"))
    teacher = FromFolder(str(folder)).start(student, {})
    assert teacher is not student
    assert all(torch.equal(value, weights(teacher)[name]) for name, value in weights(student).items())
    assert not any(p.requires_grad for p in teacher.model.parameters())


def test_a_model_that_writes_with_other_tokens_is_refused(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another tokenizer than the policy"):
        FromFolder(str(model_folder(tmp_path / "model", "llama"))).start(policy, {})


def test_a_model_with_another_number_of_logits_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    """Families pad their vocabularies to different widths."""
    folder = model_folder(tmp_path / "model", "llama")
    student = load_policy(folder, local_runtime("float32"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": VOCABULARY + 8}))
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=f"has {VOCABULARY + 8} logits and the policy {VOCABULARY}"):
        FromFolder(str(folder)).start(student, {})


def test_the_embedded_model_goes_by_its_name() -> None:
    student = load_policy(EMBEDDED_FOLDER, local_runtime("float32"))
    assert weights(FromFolder(EMBEDDED).start(student, {})).keys() == weights(student).keys()


def test_a_folder_that_is_no_model_is_refused(policy: Policy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model folder"):
        FromFolder(str(tmp_path / "nothing")).start(policy, {})
