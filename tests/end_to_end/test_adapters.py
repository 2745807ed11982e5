"""Runs whose stages train an adapter: written down, repeated, stopped, resumed, and saved as plain models."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from fixtures.small_runs import ARGUMENTS, assert_same_run, command, small_spec, weights_in
from posttrain.runs import execute, recipe_file
from posttrain.runs.display import Silent
from posttrain.runs.training import Interrupted

LORA = {"adapter": {"lora": {"rank": 2}}, "reference": "adapter_off"}
LARGEST = {"adapter": {"masked": {"density": 0.01, "entries": "largest"}}}
CHANGES = {"uft": LORA, "sft_rft": {"adapter": "ssf", "only": ["reinforced"]}, "rft": LARGEST}


def spec(method: str, base: Path, out: Path):
    return small_spec(method, base, out, arguments={**ARGUMENTS[method], "stage": CHANGES[method]})


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapted")
    for method in CHANGES:
        execute.run(spec(method, base, folder / method), Silent())
    return {method: folder / method for method in CHANGES}


@pytest.mark.parametrize(("method", "step"), [("uft", 2), ("uft", 4), ("sft_rft", 4), ("sft_rft", 8), ("rft", 2)])
def test_stopping_and_resuming_changes_nothing(tmp_path, base, whole, method, step):
    out = tmp_path / "run"
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        execute.run(spec(method, base, out), Silent(), stop=lambda: next(asked) >= step)
    execute.resume(out, Silent())
    assert_same_run(out, whole[method])


def test_the_recipe_says_what_was_changed_and_run_again_is_the_same_run(tmp_path, whole):
    written = yaml.safe_load((whole["uft"] / "recipe.yaml").read_text())["arguments"]["stage"]
    assert written["adapter"]["lora"]["rank"] == 2
    assert written["reference"] == "adapter_off"
    for method, folder in whole.items():
        answer = command("run", folder / "recipe.yaml", "--out", tmp_path / method)
        assert answer.code == 0, answer.error
        assert_same_run(tmp_path / method, folder)
        assert recipe_file.read(tmp_path / method).arguments == recipe_file.read(folder).arguments


def test_what_is_saved_is_a_plain_model_of_the_same_form(base, whole):
    for folder in whole.values():
        saved = weights_in(folder)
        found = AutoModelForCausalLM.from_pretrained(folder / "checkpoint", output_loading_info=True)[1]
        assert not found["unexpected_keys"]
        assert not found["missing_keys"]
        before = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).state_dict()
        assert saved.keys() == before.keys()
    changed = {name for name, value in weights_in(whole["uft"]).items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if "proj.weight" in name}


def test_from_the_command_line(tmp_path, base):
    first = ["run", "rft", "--model", base, "--task", "key_paths", "--set", "task.horizon=2", "--out", tmp_path / "run"]
    small = ["prompts_per_step=2", "rollouts_per_prompt=2", "max_new_tokens=4", "groups_per_update=null"]
    given = [*small, "stage.adapter=lora", "stage.adapter.rank=4"]
    sets = [word for assignment in given for word in ("--set", assignment)]
    sizes = ["--steps", "1", "--training-examples", "4", "--evaluation-examples", "2", "--precision", "float32"]
    answer = command(*first, *sets, *sizes)
    assert answer.code == 0, answer.error
    assert recipe_file.read(tmp_path / "run").arguments["stage"]["adapter"]["lora"]["rank"] == 4
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["updates"] == 1


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("stage.adapter=loar", "stage.adapter needs anchored, chosen"),
        ("stage.only=[reinforce]", "unknown training stage 'reinforce'; did you mean 'reinforced'?"),
        ("stage.adapter={lora: {targets: [attention]}}", "no linear layer is called 'attention'; the model has q_proj"),
        ("stage.reference=adapter_off", "take a snapshot, or an adapter that leaves them alone"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, base, assignment, sentence):
    small = ["--set", "max_new_tokens=4", "--set", "prompts_per_step=2", "--precision", "float32", "--steps", "1"]
    out = ["--training-examples", "4", "--evaluation-examples", "2", "--out", tmp_path / "run"]
    answer = command("run", "rft", "--model", base, "--task", "key_paths", *small, *out, "--set", assignment)
    assert (answer.code, answer.error.count("\n")) == (2, 1), answer.error
    assert sentence in answer.error
