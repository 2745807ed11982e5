"""Presets: below what a person sets, above the method's defaults."""

import pytest

from posttrain.batching import PerConstant
from posttrain.cli.specification import Written, run_spec
from posttrain.errors import UserError
from posttrain.settings.building import build
from posttrain.settings.catalogue import method_names
from posttrain.settings.presets import FOLDER, NONE, arguments_over, in_words, preset, settings_for
from posttrain.settings.tasks import build_task
from posttrain.settings.tree import Place

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", method_names())
def test_every_method_can_be_built_with_every_preset(name: str, method: str) -> None:
    built = build(method, settings_for(preset(name), method))
    for part in ("reinforcement", "supervision", "actor_critic", "distillation"):
        if part in built:
            assert built[part].tokens_per_microbatch == 4096


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", method_names())
def test_a_constant_normaliser_is_the_longest_answer(name: str, method: str) -> None:
    built = build(method, settings_for(preset(name), method))
    for part in (built[p] for p in ("reinforcement", "actor_critic", "distillation") if p in built):
        if isinstance(part.share, PerConstant):
            assert part.share.tokens == part.max_new_tokens


@pytest.mark.parametrize("name", NAMES)
def test_the_task_of_a_preset_can_be_built(name: str) -> None:
    task = preset(name).task
    assert task is not None
    assert build_task(task).examples("validation", 2, 0)


def test_a_method_s_own_settings_stand_over_the_shared_ones() -> None:
    chosen = preset("tiny")
    for method, own in chosen.methods.items():
        assert settings_for(chosen, method).items() >= own.items()


def test_a_person_s_settings_stand_over_a_preset_and_assignments_over_both() -> None:
    given = {"reinforcement": {"learning_rate": 7e-4, "rollouts_per_prompt": 5}}
    arguments = arguments_over(preset("tiny"), "uft", given, ["learning_rate=9e-4"], Place("setting of uft"))
    assert arguments["reinforcement"]["learning_rate"] == 9e-4
    assert arguments["reinforcement"]["rollouts_per_prompt"] == 5
    assert arguments["reinforcement"]["prompts_per_step"] == preset("tiny").settings["reinforcement.prompts_per_step"]


def test_the_embedded_model_has_the_tiny_preset_unless_told_otherwise() -> None:
    tiny = run_spec(Written({"method": "rft"}), {}, [])
    assert tiny.arguments["reinforcement"]["rollouts_per_prompt"] == 4
    assert tiny.task is not None
    assert tiny.steps == preset("tiny").run["steps"]
    plain = run_spec(Written({"method": "rft"}), {"task": "countdown"}, [], NONE)
    assert plain.arguments == {}
    assert plain.steps is None


def test_another_model_has_no_preset() -> None:
    assert run_spec(Written({"method": "rft"}), {"model": "folder", "task": "countdown"}, []).arguments == {}


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'tiny'"):
        preset("tinny")


def test_a_preset_is_said_in_words() -> None:
    assert "learning_rate=0.0003" in in_words(preset("tiny"), "rft")
