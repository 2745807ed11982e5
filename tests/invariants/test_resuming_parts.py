"""Whatever a stage keeps beside its weights survives a checkpoint, bit for bit."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fixtures.models import tiny_policy
from fixtures.toy import toy_examples, toy_problems
from fixtures.training import CPU, SMALL, continue_run
from posttrain.adapters.chosen import Chosen
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.heads import ValueHead
from posttrain.loop import Session, start, train
from posttrain.policy import Policy
from posttrain.recipe import Workspace
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.runs import checkpoint
from posttrain.stage import Stage
from posttrain.stages import reinforced
from posttrain.types import Example, Progress, TrainingSequence


@dataclass(frozen=True)
class EveryOther:
    """Takes turns over all steps: what it drops depends on how many it has ever seen."""

    needs = emphasises = frozenset[str]()

    def start(self, seed: int) -> "Turns":
        return Turns()


@dataclass
class Turns:
    seen: int = 0
    dropped: list[int] = field(default_factory=list)

    def __call__(self, sequences: Sequence[TrainingSequence], policy: Policy, now: Progress) -> list[TrainingSequence]:
        kept = []
        for sequence in sequences:
            self.seen += 1
            if self.seen % 5:
                kept.append(sequence)
            else:
                self.dropped.append(sequence.uid)
        return kept

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "dropped": list(self.dropped)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seen, self.dropped = state["seen"], list(state["dropped"])


def stage() -> Stage:
    made = reinforced.stage(toy_problems(), 5, SMALL, OnPolicy(3))
    parts = {"selection": EveryOther(), "adapter": Chosen("mlp|norm"), "heads": {"value": ValueHead(2.0)}}
    return dataclasses.replace(made, **parts)


def begun(policy: Policy) -> Session:
    session = start(stage(), policy, seed=0)
    with torch.no_grad():  # heads that no term trains stay at zero: a state that a test could not tell from none
        for session_head in policy.heads.values():
            session_head.weight.fill_(0.25)
    return session


def test_a_resumed_stage_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = begun(tiny_policy())
    continue_run(whole)
    first = begun(tiny_policy())
    train(first, CPU, lambda record: record.now.step < 1)
    assert first.step == 2
    checkpoint.save(tmp_path / "checkpoint", first, 0, 0.0)
    second = start(stage(), tiny_policy(), seed=0)
    checkpoint.restore(second, checkpoint.read(tmp_path / "checkpoint"))
    continue_run(second)
    for one, other in zip(whole.policy.model.parameters(), second.policy.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(whole.policy.heads["value"].weight, second.policy.heads["value"].weight)
    assert whole.selection.state_dict() == second.selection.state_dict()
    assert len(whole.selection.dropped) > 5
    assert whole.spent.tokens_trained == second.spent.tokens_trained


def test_what_a_recipe_made_survives(tmp_path: Path) -> None:
    policy = tiny_policy()
    kept = tiny_policy(seed=3).frozen_copy()
    odd = Example("odd", "1=", (1, "a", None), (), {"level": 2.5})
    workspace = Workspace(policy, HuggingFaceEngine(), 0).keeping("base", kept)
    session = start(stage(), policy, seed=0)
    session.workspace = workspace.with_examples("curated", (*toy_examples(3), odd))
    checkpoint.save(tmp_path / "checkpoint", session, 1, 0.0)
    fresh = Workspace(tiny_policy(), HuggingFaceEngine(), 0)
    found = checkpoint.restored_workspace(fresh, checkpoint.read(tmp_path / "checkpoint"))
    for one, other in zip(kept.model.parameters(), found.recalled("base").model.parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(session.workspace.examples["curated"], found.examples["curated"], strict=True):
        assert dataclasses.asdict(one) == dataclasses.asdict(other)
