"""A critic beside the model: where it begins, how fast it learns, and that nothing of it is lost."""

import dataclasses
from pathlib import Path

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_ACTOR_CRITIC, continue_run
from posttrain import loop
from posttrain.errors import UserError
from posttrain.heads import ValueHead
from posttrain.loop import Session, finish, start
from posttrain.methods import ppo
from posttrain.runs import checkpoint
from posttrain.stage import Stage


def stage(steps: int = 4, **changes) -> Stage:
    (made,) = ppo.recipe(
        toy_problems(), steps=steps, actor_critic=dataclasses.replace(SMALL_ACTOR_CRITIC, **changes)
    ).stages
    return made


def head(session: Session) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in session.policy.heads["value"].state_dict().items()}


def test_a_critic_begins_with_nothing_to_say_and_ends_with_its_stage() -> None:
    session = start(stage(), tiny_policy(), seed=0)
    assert not any(bool(value.any()) for value in head(session).values())
    continue_run(session)
    assert all(bool(value.any()) for value in head(session).values())
    finish(session)
    assert session.policy.heads == {}


def test_the_next_stage_has_a_critic_of_its_own() -> None:
    policy = tiny_policy()
    first = start(stage(steps=1), policy, seed=0)
    continue_run(first)
    second = start(stage(steps=1), policy, seed=0)
    assert not any(bool(value.any()) for value in head(second).values())


@pytest.mark.parametrize("factor", [0.0, 1.0, 10.0])
def test_it_has_a_learning_rate_of_its_own(factor: float) -> None:
    session = start(stage(head=ValueHead(learning_rate_factor=factor)), tiny_policy(), seed=0)
    continue_run(session)
    assert [group["lr"] for group in session.optimiser.param_groups] == pytest.approx([1e-3, 1e-3 * factor])
    assert bool(head(session)["weight"].any()) == (factor > 0)


def test_every_parameter_stands_in_one_group_of_the_optimiser() -> None:
    session = start(stage(), tiny_policy(), seed=0)
    model, critic = (group["params"] for group in session.optimiser.param_groups)
    assert {id(p) for p in model} == {id(p) for p in session.policy.model.parameters()}
    assert [p.shape for p in critic] == [(1, session.policy.width), (1,)]


def test_its_gradient_is_cut_with_the_models() -> None:
    session = start(stage(steps=1), tiny_policy(), seed=0)
    norms = []

    class Watching(type(CPU)):
        def gradient_norm(self, parameters, clip_norm: float) -> float:
            norms.append(len(parameters))
            return super().gradient_norm(parameters, clip_norm)

    loop.train(session, Watching(CPU.device, None), lambda record: True)
    assert set(norms) == {len(list(session.policy.model.parameters())) + 2}


def test_a_stage_without_a_critic_has_no_values() -> None:
    with pytest.raises(UserError, match="no head 'value'"):
        dataclasses.replace(stage(), heads={})


def test_a_critic_that_is_lost_is_noticed_as_the_model_would_be() -> None:
    session = start(stage(), tiny_policy(), seed=0)
    assert checkpoint.is_finite(session)
    with torch.no_grad():
        session.policy.heads["value"].bias.fill_(float("inf"))
    assert not checkpoint.is_finite(session)


def test_stopping_and_going_on_from_a_checkpoint_is_not_noticed(tmp_path: Path) -> None:
    whole = start(stage(), tiny_policy(), seed=0)
    records = continue_run(whole)
    parted = start(stage(), tiny_policy(), seed=0)
    loop.train(parted, CPU, lambda record: record.now.step != 1)
    checkpoint.save(tmp_path / "checkpoint", parted, stage=0, seconds=0.0)

    policy = tiny_policy(seed=2)
    policy.model.load_state_dict(parted.policy.model.state_dict())
    resumed = start(stage(), policy, seed=0)
    checkpoint.restore(resumed, checkpoint.read(tmp_path / "checkpoint"))
    assert resumed.step == 2
    later = continue_run(resumed)
    assert [r.losses for r in later] == [r.losses for r in records[2:]]
    assert all(torch.equal(value, head(resumed)[name]) for name, value in head(whole).items())
    assert all(torch.equal(value, weights(policy)[name]) for name, value in weights(whole.policy).items())
