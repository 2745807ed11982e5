"""Keeping weights between stages."""

import torch

from fixtures.models import tiny_policy, weights
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.frozen import Remembered
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.weights.snapshots import Keep


def move(policy: Policy) -> None:
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(1.0)


def test_what_is_kept_does_not_move_along(policy: Policy) -> None:
    workspace = Keep("base").run(Workspace(policy, HuggingFaceEngine(), seed=0))
    move(policy)
    kept = Remembered("base").start(policy, workspace.remembered)
    assert kept is workspace.recalled("base")
    expected = weights(tiny_policy())
    assert all(torch.equal(value, expected[name]) for name, value in weights(kept).items())
    assert not any(p.requires_grad for p in kept.model.parameters())


def test_keeping_again_forgets_what_was_kept_before(policy: Policy) -> None:
    workspace = Keep("base").run(Workspace(policy, HuggingFaceEngine(), seed=0))
    move(policy)
    again = Keep("base").run(workspace)
    moved = weights(policy)
    assert all(torch.equal(value, moved[name]) for name, value in weights(again.recalled("base")).items())


def test_the_workspace_keeps_everything_else(policy: Policy) -> None:
    before = Workspace(policy, HuggingFaceEngine(), seed=7, examples={"made": ()})
    after = Keep("base").run(before)
    assert (after.policy, after.engine, after.seed, after.examples) == (policy, before.engine, 7, {"made": ()})
    assert dict(before.remembered) == {}
