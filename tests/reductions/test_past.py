"""What adding a skill becomes when one of its parts is turned off."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.toy import toy_problems
from fixtures.training import SMALL, SMALL_SUPERVISION, continue_run
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.loop import StepRecord, start
from posttrain.methods import past
from posttrain.policy import Policy
from posttrain.recipe import Recipe, Workspace
from posttrain.stage import Problems, Stage
from posttrain.weights.vectors import RandomOfEqualNorm, difference, norms
from tolerances import GRADIENT, ROUNDING, VISIBLE


def domains(*names: str) -> Problems:
    """Toy problems of these domains, in turn."""
    problems = toy_problems(8)
    examples = [
        dataclasses.replace(e, facts={"domain": names[i % len(names)]}) for i, e in enumerate(problems.examples)
    ]
    return dataclasses.replace(problems, examples=tuple(examples))


def recipe(problems: Problems | None = None, **settings: Any) -> Recipe:
    chosen = {"steps": 2, "supervision": SMALL_SUPERVISION, "reinforcement": SMALL, **settings}
    return past.recipe(problems or toy_problems(), **chosen)


class Done:
    """A recipe carried out, with the weights that every stage began and ended with."""

    def __init__(self, recipe: Recipe) -> None:
        self.policy: Policy = tiny_policy()
        self.begun: dict[str, dict[str, Tensor]] = {}
        self.ended: dict[str, dict[str, Tensor]] = {}
        self.records: dict[str, list[StepRecord]] = {}
        workspace = Workspace(self.policy, HuggingFaceEngine(), 0)
        for part in recipe.stages:
            if isinstance(part, Stage):
                self.begun[part.name] = weights(self.policy)
                self.records[part.name] = continue_run(start(part, self.policy, 0, remembered=workspace.remembered))
                self.ended[part.name] = weights(self.policy)
            else:
                workspace = part.run(workspace)
        self.remembered = workspace.remembered
        self.final = weights(self.policy)

    def skill(self, round_: int) -> dict[str, Tensor]:
        return dict(difference(self.remembered[f"reinforced {round_}"], self.remembered[f"supervised {round_}"]))


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in other)


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = ROUNDING) -> None:
    for name in other:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance)


def total(vector: dict[str, Tensor]) -> float:
    return sum(float(value.norm()) for value in vector.values())


def test_a_scale_of_zero_is_supervision_of_the_target() -> None:
    made = recipe(scale=0.0)
    (target,) = [part for part in made.stages if isinstance(part, Stage) and part.name == "target"]
    alone = tiny_policy()
    continue_run(start(target, alone, 0))
    equal(Done(made).final, weights(alone))


def test_one_round_is_a_task_vector() -> None:
    done = Done(recipe(rounds=1, scale=0.5))
    skill = done.skill(1)
    assert total(skill) > VISIBLE
    close(done.final, {name: value + 0.5 * skill[name] for name, value in done.ended["target"].items()})


def test_reinforcement_that_moves_nothing_adds_nothing() -> None:
    done = Done(recipe(reinforcement=dataclasses.replace(SMALL, learning_rate=0.0)))
    assert total(done.skill(2)) == 0.0
    equal(done.final, done.ended["target"])


def test_a_round_that_moves_nothing_hands_the_skill_on() -> None:
    made = recipe()
    silent = tuple(
        dataclasses.replace(p, steps=0) if isinstance(p, Stage) and p.name == "reinforced 2" else p for p in made.stages
    )
    done = Done(Recipe(silent))
    assert total(done.skill(1)) > VISIBLE
    close(done.skill(2), done.skill(1))


def test_the_skill_is_taken_from_the_supervised_weights_and_grows_over_the_rounds() -> None:
    done = Done(recipe())
    begun, supervised = done.begun["reinforced 2"], done.ended["supervised 2"]
    close(begun, {name: value + done.skill(1)[name] for name, value in supervised.items()})
    close(done.skill(2), {name: value - supervised[name] for name, value in done.ended["reinforced 2"].items()})


def test_on_the_source_itself_it_is_the_reinforced_model() -> None:
    everything = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)
    made = recipe(domains("one"), source="one", target="one", rounds=1, supervision=everything)
    done = Done(made)
    close(done.final, done.ended["reinforced 1"], GRADIENT)
    assert total({n: v - done.ended["target"][n] for n, v in done.final.items()}) > VISIBLE


def test_every_supervised_stage_begins_from_the_base() -> None:
    done = Done(recipe(rounds=2))
    for name in ("supervised 1", "supervised 2", "target"):
        equal(done.begun[name], weights(tiny_policy()))


def test_before_supervision_the_skill_is_where_it_begins() -> None:
    done = Done(recipe(rounds=1, added="before"))
    base, skill = weights(tiny_policy()), done.skill(1)
    close(done.begun["target"], {name: value + skill[name] for name, value in base.items()})
    equal(done.final, done.ended["target"])


def test_the_control_is_as_far_from_the_supervised_model_as_the_skill_is() -> None:
    learned, control = Done(recipe(rounds=1)), Done(recipe(rounds=1, direction=RandomOfEqualNorm()))
    equal(control.ended["target"], learned.ended["target"])
    moved = [{n: v - d.ended["target"][n] for n, v in d.final.items()} for d in (learned, control)]
    far, other = norms(moved[0]), norms(moved[1])
    assert all(other[name] == pytest.approx(far[name], rel=GRADIENT) for name in far)
    assert not torch.equal(learned.final["model.norm.weight"], control.final["model.norm.weight"])


def asked(done: Done, stage: str) -> set[str]:
    return {r.example.facts.get("domain", "") for record in done.records[stage] for r in record.collection.rollouts}


def test_nothing_of_the_target_is_ever_asked() -> None:
    done = Done(recipe(domains("s", "t", "other"), source="s", target="t", rounds=1))
    assert {name: asked(done, name) for name in done.records} == {
        "supervised 1": {"s"},
        "reinforced 1": {"s"},
        "target": {"t"},
    }
    sampled = [name for name, rows in done.records.items() if rows[-1].collection.rollouts[0].ended != "given"]
    assert sampled == ["reinforced 1"]


def test_documents_may_be_of_a_domain_of_their_own() -> None:
    problems = domains("documents", "questions", "target")
    done = Done(recipe(problems, source="questions", documents="documents", target="target", rounds=1))
    assert asked(done, "supervised 1") == {"documents"}
    assert asked(done, "reinforced 1") == {"questions"}


def test_rounds_learn_from_disjoint_parts() -> None:
    made = recipe(rounds=2)
    ids = {p.name: {e.id for s in p.streams for e in s.examples} for p in made.stages if isinstance(p, Stage)}
    assert ids["supervised 1"] == ids["reinforced 1"]
    assert ids["supervised 2"] == ids["reinforced 2"]
    assert not ids["supervised 1"] & ids["supervised 2"]
    assert not ids["target"] & (ids["supervised 1"] | ids["supervised 2"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"source": "s"}, "name both domains"),
        ({"source": "s", "target": "nowhere"}, "no example is of the domain 'nowhere'; they state s, t"),
        ({}, r"state domains \(s, t\); say which"),
        ({"source": "s", "target": "t", "rounds": 9}, "cannot be cut into 9 parts"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(settings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(domains("s", "t"), **settings)
