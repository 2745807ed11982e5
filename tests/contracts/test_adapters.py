"""What every adapter promises, on tied and untied models, with linear layers of either orientation."""

import copy
import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from fixtures.folders import ARCHITECTURES, float64_policy, model_folder
from fixtures.models import weights
from fixtures.parts import adapters
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_SUPERVISION, continue_run, run_recipe
from fixtures.walking import Case
from posttrain.batching import PerToken
from posttrain.errors import UserError
from posttrain.frozen import AdapterOff
from posttrain.loading import load_policy
from posttrain.loop import Session, finish, start, train
from posttrain.objectives.kl import ExactKl
from posttrain.policy import Policy
from posttrain.protocols import Attached, Term
from posttrain.recipe import Recipe
from posttrain.runs import checkpoint
from posttrain.stage import Stage
from posttrain.stages import supervised
from posttrain.types import Origin
from posttrain.weights.snapshots import Keep
from tolerances import FLOAT32_MODEL, MODEL, VISIBLE

PLAIN_LAYERS_ONLY = ("Loha", "Lokr", "Oft")
"""Adapters that do not know GPT-2's transposed layers, and say so."""
NOISY = ("Ssf()", "Ssf(shift=none, places=('linear',))")
"""Adapters that begin a little beside the model."""

WRITTEN = ("Masked", "Spiel")
"""Adapters whose changes are written into the model's own weights; tests/unit/adapters has what else they promise."""
EVERY = adapters()
PAIRS = [(c, a) for c in EVERY for a in ARCHITECTURES if not (a == "gpt2" and c.part.__name__ in PLAIN_LAYERS_ONLY)]
ON_EVERY_MODEL = pytest.mark.parametrize(("case", "architecture"), PAIRS, ids=lambda value: str(value))
CASES = pytest.mark.parametrize("case", EVERY, ids=str)
TOKENS = torch.arange(1, 11)[None]


def logits(policy: Policy) -> Tensor:
    with torch.no_grad():
        return policy.model(input_ids=TOKENS, use_cache=False).logits


def attach(case: Case, policy: Policy, seed: int = 0) -> Attached:
    return case.construct().attach(policy, seed, {"pretrained": policy.frozen_copy()})


def disturb(policy: Policy) -> None:
    """Move everything that is trained, visibly."""
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise, dtype=torch.float64))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@ON_EVERY_MODEL
def test_it_begins_as_the_model_was_unless_it_says_otherwise(case: Case, architecture: str) -> None:
    policy = float64_policy(architecture)
    before = logits(policy)
    attach(case, policy)
    moved = float((logits(policy) - before).abs().max())
    assert moved > MODEL if str(case) in NOISY else moved <= MODEL


@ON_EVERY_MODEL
def test_equal_seeds_give_equal_adapters(case: Case, architecture: str) -> None:
    ours, theirs = float64_policy(architecture), float64_policy(architecture)
    state = torch.random.get_rng_state()
    attach(case, ours)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    attach(case, theirs)
    assert same(ours.model.state_dict(), theirs.model.state_dict())


@ON_EVERY_MODEL
def test_only_what_it_trains_gets_a_gradient(case: Case, architecture: str) -> None:
    policy = float64_policy(architecture)
    attach(case, policy)
    disturb(policy)
    policy.model(input_ids=TOKENS).logits.square().sum().backward()
    for parameter in policy.model.parameters():
        assert (parameter.grad is not None) == parameter.requires_grad
    assert all(bool(p.grad.any()) for p in policy.trainable())


@ON_EVERY_MODEL
def test_merged_and_plain_weights_are_the_same_and_compute_what_the_adapted_model_did(
    case: Case, architecture: str
) -> None:
    policy = float64_policy(architecture)
    built, plain_logits = weights(policy), logits(policy)
    state = policy.model.state_dict().keys()
    attached = attach(case, policy)
    disturb(policy)
    adapted = logits(policy)
    assert float((adapted - plain_logits).abs().max()) > VISIBLE
    plain = {name: value.clone() for name, value in attached.plain_weights().items()}
    assert torch.equal(logits(policy), adapted)
    attached.merge()
    assert same(policy.model.state_dict(), plain)
    assert plain.keys() == state
    assert weights(policy).keys() == built.keys()
    assert all(p.requires_grad for p in policy.model.parameters())
    torch.testing.assert_close(logits(policy), adapted, rtol=0, atol=MODEL)


@ON_EVERY_MODEL
def test_it_can_be_attached_again_to_what_it_left(case: Case, architecture: str) -> None:
    policy = float64_policy(architecture)
    for _ in range(2):
        attached = attach(case, policy)
        disturb(policy)
        adapted = logits(policy)
        attached.merge()
        torch.testing.assert_close(logits(policy), adapted, rtol=0, atol=MODEL)


@ON_EVERY_MODEL
def test_a_copy_of_the_adapted_model_is_a_model_of_its_own(case: Case, architecture: str) -> None:
    policy = float64_policy(architecture)
    attach(case, policy)
    disturb(policy)
    copied, adapted = policy.frozen_copy(), logits(policy)
    assert torch.equal(logits(copied), adapted)
    disturb(policy)
    assert torch.equal(logits(copied), adapted)


@ON_EVERY_MODEL
def test_its_weights_can_be_given_to_a_pass_by_name(case: Case, architecture: str) -> None:
    policy = float64_policy(architecture)
    attach(case, policy)
    given = {name: value.detach().clone() for name, value in policy.named_trainable().items()}
    disturb(policy)
    moved = {name: value.detach().clone() for name, value in policy.named_trainable().items()}
    adapted = logits(policy)
    with torch.no_grad():
        for name, value in policy.named_trainable().items():
            value.copy_(given[name])
        again = torch.func.functional_call(policy.model, moved, kwargs={"input_ids": TOKENS, "use_cache": False})
    assert torch.equal(again.logits, adapted)


@CASES
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_what_is_saved_loads_without_it_and_computes_the_same(case: Case, architecture: str, tmp_path: Path) -> None:
    if (case, architecture) not in PAIRS:
        return
    policy = load_policy(model_folder(tmp_path / "base", architecture), CPU)
    attached = attach(case, policy)
    disturb(policy)
    checkpoint.save_model(tmp_path / "saved", policy, attached)
    loaded, found = AutoModelForCausalLM.from_pretrained(
        tmp_path / "saved", dtype=torch.float32, output_loading_info=True
    )
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert load_policy(tmp_path / "saved", CPU).model.config.to_dict().keys() == policy.model.config.to_dict().keys()
    with torch.no_grad():
        again = loaded(input_ids=TOKENS).logits
    torch.testing.assert_close(again, logits(policy), rtol=FLOAT32_MODEL, atol=FLOAT32_MODEL)


@pytest.mark.parametrize("case", [c for c in EVERY if c.part.__name__ in PLAIN_LAYERS_ONLY], ids=str)
def test_layers_that_it_does_not_know_are_refused_before_anything_is_changed(case: Case) -> None:
    policy = float64_policy("gpt2")
    before = weights(policy)
    with pytest.raises(UserError, match=r"'transformer\.h\.0\.attn\.c_attn' is a Conv1D, which this adapter"):
        attach(case, policy)
    assert same(weights(policy), before)
    assert all(p.requires_grad for p in policy.model.parameters())


def adapted_stage(case: Case, **frozen: object) -> Stage:
    """Imitation with an exact divergence, so that the reference is run inside the step of the policy."""
    stage = supervised.stage(toy_problems(), 3, dataclasses.replace(SMALL_SUPERVISION, learning_rate=1e-2))
    near = Term("kl", ExactKl(), frozenset({Origin.GIVEN}), PerToken(), 0.5)
    chosen = {"frozen": frozen} if frozen else {}
    return dataclasses.replace(stage, terms=(*stage.terms, near), adapter=case.construct(), **chosen)


def begun(case: Case, policy: Policy, **frozen: object) -> Session:
    kept = {"pretrained": float64_policy("qwen2").frozen_copy()}  # as a resumed recipe finds it again
    return start(adapted_stage(case, **frozen), policy, seed=0, remembered=kept)


@cache
def adds_weights(case: Case) -> bool:
    """Whether it leaves the model's own weights alone."""
    policy = float64_policy("qwen2")
    own = {id(p) for p in policy.model.parameters()}
    attach(case, policy)
    return case.part.__name__ not in WRITTEN and not any(id(p) in own for p in policy.trainable())


ADDING = pytest.mark.parametrize("case", [c for c in EVERY if adds_weights(c)], ids=str)


@CASES
def test_training_moves_what_is_trained_and_nothing_else(case: Case) -> None:
    policy = float64_policy("qwen2")
    own = {name: (p, p.detach().clone()) for name, p in policy.model.named_parameters()}
    session = begun(case, policy)
    trained = [(p, p.detach().clone()) for p in policy.trainable()]
    continue_run(session)
    assert all(not torch.equal(p, before) for p, before in trained)
    moving = {id(p) for p, _ in trained}
    if case.part.__name__ not in WRITTEN:
        assert all(torch.equal(p, before) for p, before in own.values() if id(p) not in moving)
    finish(session)
    assert {name: p.shape for name, p in policy.model.named_parameters()} == {n: p.shape for n, (p, _) in own.items()}


REFERENCES = [(c, f) for c in EVERY for f in ({}, {"reference": AdapterOff()}) if adds_weights(c) or not f]


@pytest.mark.parametrize(("case", "frozen"), REFERENCES, ids=str)
def test_stopping_and_resuming_changes_nothing(case: Case, frozen: dict[str, AdapterOff], tmp_path: Path) -> None:
    whole = begun(case, float64_policy("qwen2"), **frozen)
    continue_run(whole)
    first = begun(case, float64_policy("qwen2"), **frozen)
    train(first, CPU, lambda record: record.now.step < 1)
    checkpoint.save(tmp_path / "checkpoint", first, 0, 0.0)
    # A run resumes from the folded weights, and what is beside them makes it the adapted model again.
    policy = float64_policy("qwen2")
    policy.model.load_state_dict(load_file(tmp_path / "checkpoint" / "model.safetensors"), strict=False)
    second = begun(case, policy, **frozen)
    checkpoint.restore(second, checkpoint.read(tmp_path / "checkpoint"))
    continue_run(second)
    assert second.step == 3
    assert same(whole.policy.model.state_dict(), second.policy.model.state_dict())
    finish(whole)
    finish(second)
    assert same(whole.policy.model.state_dict(), second.policy.model.state_dict())


@ADDING
def test_the_model_without_it_is_the_snapshot_bit_for_bit(case: Case) -> None:
    with_copy, without = float64_policy("qwen2"), float64_policy("qwen2")
    records = run_recipe(Recipe((Keep("pretrained"), adapted_stage(case))), with_copy)
    session = begun(case, without, reference=AdapterOff())
    shared = {id(p) for p in session.frozen["reference"].model.parameters()}
    assert shared == {id(p) for p in without.model.parameters() if not p.requires_grad}
    others = continue_run(session)
    finish(session)
    assert [r.losses for r in others] == [r.losses for r in records]
    assert any(r.losses["kl"] for r in records)
    assert same(weights(with_copy), weights(without))


@pytest.mark.parametrize("case", [c for c in EVERY if not adds_weights(c)], ids=str)
def test_without_weights_of_its_own_it_cannot_be_switched_off(case: Case) -> None:
    with pytest.raises(UserError, match="'reference' is the model without its adapter, but this stage trains the"):
        begun(case, float64_policy("qwen2"), reference=AdapterOff())


def test_without_an_adapter_there_is_none_to_switch_off() -> None:
    stage = dataclasses.replace(adapted_stage(EVERY[0], reference=AdapterOff()), adapter=None)
    with pytest.raises(UserError, match="take a snapshot, or an adapter that leaves them alone"):
        start(stage, float64_policy("qwen2"), seed=0)


@CASES
def test_it_is_a_frozen_value(case: Case) -> None:
    assert case.construct() == case.construct()
    assert copy.copy(case.construct()) == case.construct()
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.construct().anything = 1
