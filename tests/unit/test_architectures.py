"""Other architectures, with tokenizers whose tokens are longer than a character, go through the same loop."""

import dataclasses
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from fixtures.folders import model_folder
from fixtures.models import weights
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL, SMALL_SUPERVISION, run
from posttrain.durations import Steps
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.loading import load_policy
from posttrain.methods import ift, lfu, soft, uft
from posttrain.objectives.exits import AtDepths
from posttrain.objectives.undesirable import AscentInStates
from posttrain.policy import Policy
from posttrain.rollouts.hints import BinomialCosine
from posttrain.sampling import Sampling
from posttrain.types import Origin
from tolerances import FLOAT32_MODEL

ARCHITECTURES = pytest.mark.parametrize("architecture", ["llama", "gpt2"])


def loaded(folder: Path, architecture: str) -> Policy:
    return load_policy(model_folder(folder, architecture), CPU)


@ARCHITECTURES
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_unified_fine_tuning_trains_two_steps(tmp_path: Path, architecture: str, stored: torch.dtype) -> None:
    policy = load_policy(model_folder(tmp_path, architecture, stored), CPU)
    before = weights(policy)
    hints = BinomialCosine(0.9, 0.9, Steps(2))
    settings = dataclasses.replace(SMALL, groups_per_update=None)
    (stage,) = uft.recipe(toy_problems(), steps=2, hints=hints, likelihood=1.0, reinforcement=settings).stages
    records = run(stage, policy)
    assert all(record.losses["hint likelihood"] > 0 for record in records)
    assert records[1].gradient_norm > 0
    after = weights(policy)
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert not [name for name, value in after.items() if torch.equal(value, before[name])]


SEVERAL_PASSES = {
    "undesirable weights": lambda: lfu.recipe(toy_problems(), steps=2, supervision=SMALL_SUPERVISION),
    "undesirable states": lambda: lfu.recipe(
        toy_problems(), steps=2, neighbour=AscentInStates(), consistency=0.1, supervision=SMALL_SUPERVISION
    ),
    "intuitive": lambda: ift.recipe(toy_problems(), steps=2, supervision=SMALL_SUPERVISION),
    "sorted": lambda: soft.recipe(toy_problems(), steps=2, exits=AtDepths((1, 2)), supervision=SMALL_SUPERVISION),
}


@ARCHITECTURES
@pytest.mark.parametrize("method", list(SEVERAL_PASSES))
def test_methods_with_more_than_one_pass_train_two_steps(tmp_path: Path, architecture: str, method: str) -> None:
    policy = loaded(tmp_path, architecture)
    before = weights(policy)
    (stage,) = SEVERAL_PASSES[method]().stages
    records = run(stage, policy)
    assert all(loss > 0 for record in records for loss in record.losses.values())
    assert not [name for name, value in weights(policy).items() if torch.equal(value, before[name])]


@ARCHITECTURES
def test_what_was_trained_loads_again_and_computes_the_same(tmp_path: Path, architecture: str) -> None:
    policy = loaded(tmp_path, architecture)
    (stage,) = uft.recipe(toy_problems(), steps=1, reinforcement=SMALL).stages
    run(stage, policy)
    policy.model.save_pretrained(tmp_path / "trained")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "trained")
    tokens = torch.arange(1, 9)[None]
    with torch.no_grad():
        ours, theirs = policy.model(input_ids=tokens).logits, again(input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=FLOAT32_MODEL)  # they attend with other kernels


@ARCHITECTURES
def test_a_hint_is_a_slice_of_the_demonstrations_tokens(tmp_path: Path, architecture: str) -> None:
    policy = loaded(tmp_path, architecture)
    (stage,) = uft.recipe(toy_problems(), steps=1, hints=BinomialCosine(1.0, 1.0), reinforcement=SMALL).stages
    (record,) = run(stage, policy)
    for rollout in record.collection.rollouts:
        tokens, boundaries = policy.text.demonstration(rollout.example.demonstrations[0])
        assert len(tokens) < len(rollout.example.demonstrations[0].text)
        hint = rollout.tokens[rollout.origin == int(Origin.GIVEN)]
        assert torch.equal(hint, tokens[: boundaries[-2]])


@ARCHITECTURES
def test_sampling_and_training_agree_and_stay_within_the_context(tmp_path: Path, architecture: str) -> None:
    policy = loaded(tmp_path, architecture)
    engine = HuggingFaceEngine()
    engine.load(policy, version=0)
    prompts = [policy.text.encode(p) for p in ("7=", "12+5=", "a1 b2 c3 d4 e5 f6 a7 b8 c9")]
    for prompt, group in zip(prompts, engine.generate(prompts, Sampling(1.0, 100), 2, torch.Generator())):
        for completion in group:
            tokens = torch.cat([prompt, completion.tokens])
            assert len(tokens) <= policy.context
            with torch.no_grad():
                logits = policy.model(input_ids=tokens[None]).logits[0, len(prompt) - 1 : -1]
            again = torch.log_softmax(logits, -1).gather(-1, completion.tokens[:, None])[:, 0]
            torch.testing.assert_close(completion.logprobs, again, rtol=0, atol=FLOAT32_MODEL)


def test_a_whole_context_can_be_trained_on(tmp_path: Path) -> None:
    policy = loaded(tmp_path, "gpt2")
    settings = dataclasses.replace(SMALL, max_new_tokens=200)
    (stage,) = uft.recipe(toy_problems(), steps=1, reinforcement=settings).stages
    (record,) = run(stage, policy)
    assert max(len(r.tokens) for r in record.collection.rollouts) == policy.context
