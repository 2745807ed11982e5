"""Weights that are kept, brought back, or taken from another model."""

import pytest
import torch

from fixtures.folders import model_folder
from fixtures.models import weights
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.loading import load_policy
from posttrain.model_folder import EMBEDDED, EMBEDDED_FOLDER
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.runtime import local_runtime
from posttrain.weights.snapshots import Keep, Load, Rewind


def workspace(policy: Policy) -> Workspace:
    return Workspace(policy, HuggingFaceEngine(), seed=0)


def move(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)


def test_rewinding_brings_back_what_was_kept_bit_for_bit(policy: Policy) -> None:
    before = weights(policy)
    place = Keep("pretrained").run(workspace(policy))
    parameters = list(policy.model.parameters())
    move(policy)
    assert Rewind("pretrained").run(place) is place
    assert all(torch.equal(value, before[name]) for name, value in weights(policy).items())
    assert list(map(id, policy.model.parameters())) == list(map(id, parameters))  # in place
    assert all(p.requires_grad for p in policy.model.parameters())
    assert policy.model.lm_head.weight is policy.model.model.embed_tokens.weight


def test_what_is_kept_is_a_frozen_copy(policy: Policy) -> None:
    place = Keep("pretrained").run(workspace(policy))
    before = weights(place.recalled("pretrained"))
    move(policy)
    assert all(torch.equal(value, before[name]) for name, value in weights(place.recalled("pretrained")).items())
    assert not place.recalled("pretrained").trainable()


def test_nothing_is_brought_back_that_was_not_kept(policy: Policy) -> None:
    with pytest.raises(UserError, match=r"no part of the recipe kept the policy 'other'; put Keep\('other'\)"):
        Rewind("other").run(workspace(policy))


def test_their_names_tell_what_they_do() -> None:
    assert [Keep("a").name, Rewind("a").name, Rewind("a", before="b").name] == [
        "keep a",
        "rewind to a",
        "rewind to a before b",
    ]


def test_a_model_of_another_run_is_remembered(tmp_path) -> None:
    folder = model_folder(tmp_path / "one", "llama")
    policy = load_policy(folder, local_runtime("float32"))
    before = weights(policy)
    move(policy)
    loaded = Load("other", str(folder)).run(workspace(policy)).recalled("other")
    assert all(torch.equal(value, before[name]) for name, value in weights(loaded).items())
    assert not loaded.trainable()


def test_a_model_of_another_shape_is_refused(tmp_path) -> None:
    policy = load_policy(model_folder(tmp_path / "one", "llama"), local_runtime("float32"))
    with pytest.raises(UserError, match="built in another way than the policy; take one from the same base"):
        Load("other", str(model_folder(tmp_path / "other", "gpt2"))).run(workspace(policy))


def test_a_model_of_other_tokens_is_refused(tmp_path, policy: Policy) -> None:
    with pytest.raises(UserError, match="another tokenizer than the policy"):
        Load("other", str(model_folder(tmp_path / "one", "llama"))).run(workspace(policy))


def test_the_embedded_model_goes_by_its_name() -> None:
    policy = load_policy(EMBEDDED_FOLDER, local_runtime("float32"))
    assert weights(Load("other", EMBEDDED).run(workspace(policy)).recalled("other")).keys() == weights(policy).keys()


def test_a_folder_without_a_model_is_refused_before_anything_begins(tmp_path) -> None:
    with pytest.raises(UserError, match="there is no model folder"):
        Load("other", str(tmp_path / "nowhere"))
