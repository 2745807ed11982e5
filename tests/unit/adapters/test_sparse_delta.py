"""A few trained entries of a weight: what the model computes with them, and what is left when they are merged."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import AutoModelForCausalLM

from fixtures.models import tiny_policy, weights
from posttrain.adapters.sparse_delta import SparseDelta, SparseDeltas, Watch, attach_deltas, largest
from posttrain.policy import Policy
from posttrain.runs.checkpoint import save_model
from tolerances import FLOAT32_MODEL, FLOAT32_RECORD, MODEL, ROUNDING, VISIBLE

QUERY, BIAS = "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias"
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
CHOSEN = {QUERY: [3, 40, 500], BIAS: [1], EMBEDDING: [70, 71, 200], NORM: [0, 5]}
TOKENS = torch.tensor([[3, 2, 6, 7, 4, 12]])


def indices(chosen: dict[str, list[int]]) -> dict[str, Tensor]:
    return {name: torch.tensor(found) for name, found in chosen.items()}


def logits(policy: Policy) -> Tensor:
    return policy.model(input_ids=TOKENS, use_cache=False).logits


def moved(attached: SparseDeltas, seed: int = 0) -> None:
    """Let every trained entry change, as an optimiser would."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for delta in attached.deltas.values():
            delta.values.add_(torch.randn(delta.values.shape, generator=noise, dtype=torch.float64))


def materialised(policy: Policy, attached: SparseDeltas) -> Policy:
    """A plain model with the same changes."""
    plain = tiny_policy()
    with torch.no_grad():
        for name, parameter in plain.model.named_parameters():
            if name in attached.deltas:
                delta = attached.deltas[name]
                parameter.view(-1)[delta.indices] += delta.values
    return plain


@pytest.fixture(params=["written", "not yet written"])
def adapted(request) -> tuple[Policy, SparseDeltas]:
    """A model with changed entries, in the state of after an update or of in the middle of one."""
    policy = tiny_policy()
    attached = attach_deltas(policy.model, indices(CHOSEN))
    moved(attached)
    if request.param == "written":
        attached.write()
    return policy, attached


def test_attaching_changes_nothing_but_what_is_trained() -> None:
    policy, plain = tiny_policy(), tiny_policy()
    attached = attach_deltas(policy.model, indices(CHOSEN))
    assert torch.equal(logits(policy), logits(plain))
    assert {name: d.values.numel() for name, d in attached.deltas.items()} == {n: len(i) for n, i in CHOSEN.items()}
    assert {id(p) for p in policy.trainable()} == {id(d.values) for d in attached.deltas.values()}


def test_it_computes_with_base_and_change(adapted) -> None:
    policy, attached = adapted
    plain = materialised(policy, attached)
    assert float((logits(plain) - logits(tiny_policy())).detach().norm()) > VISIBLE
    torch.testing.assert_close(logits(policy), logits(plain), rtol=0, atol=ROUNDING)
    with torch.no_grad():
        torch.testing.assert_close(logits(policy), logits(plain), rtol=0, atol=ROUNDING)


def test_its_gradient_is_that_of_the_dense_weight_at_its_entries(adapted) -> None:
    policy, attached = adapted
    plain = materialised(policy, attached)
    for one in (policy, plain):
        torch.log_softmax(logits(one), -1)[..., 5].sum().backward()
    dense = {name: p.grad for name, p in plain.model.named_parameters()}
    for name, delta in attached.deltas.items():
        expected = dense[name].flatten()[delta.indices]
        assert float(expected.norm()) > 0
        torch.testing.assert_close(delta.values.grad, expected, rtol=MODEL, atol=MODEL)
    assert all(p.grad is None for p in attached.weights.values())


def test_a_pass_copies_no_weight() -> None:
    policy = tiny_policy()
    attached = attach_deltas(policy.model, indices(CHOSEN))
    moved(attached)
    attached.write()
    layer = policy.model.model.layers[0].self_attn.q_proj
    assert layer.weight.data_ptr() == attached.weights[QUERY].data_ptr()
    assert layer.weight.requires_grad
    with torch.no_grad():
        assert layer.weight is attached.weights[QUERY]


def test_the_gradient_of_the_whole_weight_can_be_watched(adapted) -> None:
    policy, attached = adapted
    delta, weight, some = attached.deltas[QUERY], attached.weights[QUERY], torch.tensor([0, 7, 100])
    plain = materialised(policy, attached)
    for _ in range(2):
        torch.log_softmax(logits(plain), -1)[..., 5].sum().backward()
    expected = dict(plain.model.named_parameters())[QUERY].grad.flatten()
    for delta.watch, gathered in ((Watch(weight), expected), (Watch(weight, some), expected[some])):
        for _ in range(2):
            torch.log_softmax(logits(policy), -1)[..., 5].sum().backward()
        torch.testing.assert_close(delta.watch.take(), gathered, rtol=MODEL, atol=MODEL)
        with torch.no_grad():
            logits(policy)
        assert delta.watch.take() is None


def test_what_is_differentiated_on_the_side_is_not_watched(adapted) -> None:
    policy, attached = adapted
    delta = attached.deltas[QUERY]
    delta.watch = Watch(attached.weights[QUERY])
    (aside,) = torch.autograd.grad(logits(policy).sum(), [delta.values])
    assert float(aside.norm()) > 0
    assert delta.watch.take() is None


@pytest.mark.parametrize("autocast", [None, torch.bfloat16], ids=str)
def test_in_float32_and_autocast_gradients_are_float32(autocast: torch.dtype | None) -> None:
    policy = tiny_policy()
    policy.model.float()
    attached = attach_deltas(policy.model, indices(CHOSEN))
    attached.deltas[QUERY].watch = Watch(attached.weights[QUERY])
    with torch.autocast("cpu", dtype=autocast or torch.bfloat16, enabled=autocast is not None):
        loss = logits(policy).float().square().mean()
    loss.backward()
    plain = tiny_policy()
    logits(plain).square().mean().backward()
    expected = dict(plain.model.named_parameters())[QUERY].grad.float()
    rough = expected.abs().max() * (VISIBLE * 5 if autocast else FLOAT32_MODEL)
    seen = attached.deltas[QUERY].watch.take().view_as(expected)
    assert {seen.dtype, attached.deltas[QUERY].values.grad.dtype} == {torch.float32}
    torch.testing.assert_close(seen, expected, rtol=0, atol=float(rough))


def test_dropped_entries_are_what_they_were_and_grown_ones_begin_at_zero() -> None:
    policy, before = tiny_policy(), weights(tiny_policy())[QUERY].flatten()
    attached = attach_deltas(policy.model, indices(CHOSEN))
    moved(attached)
    attached.write()
    delta, weight = attached.deltas[QUERY], attached.weights[QUERY]
    kept = float(delta.values.detach()[1])
    delta.replace(weight, torch.tensor([0, 2]), torch.tensor([7, 8]))
    assert delta.indices.tolist() == [7, 40, 8]
    assert delta.values.tolist() == [0.0, kept, 0.0]
    assert delta.base.tolist() == before[[7, 40, 8]].tolist()
    others = torch.ones(len(before), dtype=torch.bool)
    others[40] = False
    assert torch.equal(weight.flatten()[others], before[others])
    assert float(weight.flatten()[40]) == float(before[40]) + kept


def test_merging_leaves_the_plain_model_with_the_changes(adapted) -> None:
    policy, attached = adapted
    names = [name for name, _ in tiny_policy().model.named_parameters()]
    frozen = dict(tiny_policy().model.named_parameters())[NORM]
    assert frozen.requires_grad
    before = logits(policy)
    attached.merge()
    assert [name for name, _ in policy.model.named_parameters()] == names
    assert all(p.requires_grad for p in policy.model.parameters())
    assert torch.equal(logits(policy), before)
    assert policy.model.lm_head.weight is policy.model.model.embed_tokens.weight
    for name, value in weights(policy).items():
        untouched = torch.ones(value.numel(), dtype=torch.bool)
        untouched[CHOSEN.get(name, [])] = False
        assert torch.equal(value.flatten()[untouched], weights(tiny_policy())[name].flatten()[untouched])
        assert not bool((value.flatten()[~untouched] == weights(tiny_policy())[name].flatten()[~untouched]).any())


def test_what_was_frozen_before_is_frozen_after() -> None:
    policy = tiny_policy()
    dict(policy.model.named_parameters())[NORM].requires_grad_(False)
    attach_deltas(policy.model, indices({QUERY: [1]})).merge()
    assert [n for n, p in policy.model.named_parameters() if not p.requires_grad] == [NORM]


def test_parameters_keep_their_order_for_the_optimiser_of_a_later_stage() -> None:
    policy, names = tiny_policy(), [name for name, _ in tiny_policy().model.named_parameters()]
    assert names.index(BIAS) == names.index(QUERY) + 1
    attach_deltas(policy.model, indices({QUERY: [1]})).merge()
    assert [name for name, _ in policy.model.named_parameters()] == names


def test_plain_weights_are_those_of_the_merged_model(adapted) -> None:
    policy, attached = adapted
    plain = {name: value.clone() for name, value in attached.plain_weights().items()}
    assert set(plain) == set(tiny_policy().model.state_dict())
    fresh = tiny_policy()
    fresh.model.load_state_dict(plain)
    assert torch.equal(logits(fresh), logits(policy))
    attached.merge()
    assert all(torch.equal(value, plain[name]) for name, value in policy.model.state_dict().items())


def test_an_adapted_model_is_saved_as_a_plain_one(adapted, tmp_path) -> None:
    policy, attached = adapted
    save_model(tmp_path, policy, attached)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64)
    difference = loaded(input_ids=TOKENS, use_cache=False).logits - logits(policy)
    assert float(difference.detach().abs().max()) < FLOAT32_RECORD


def test_a_copy_is_another_model(adapted) -> None:
    policy, attached = adapted
    snapshot = policy.frozen_copy()
    before = logits(policy).detach()
    assert torch.equal(logits(snapshot), before)
    moved(attached, seed=1)
    attached.write()
    assert not torch.equal(logits(policy), before)
    assert torch.equal(logits(snapshot), before)


def test_a_copy_does_not_take_the_writing_of_its_original_for_its_own() -> None:
    weight = torch.zeros(4)
    delta = SparseDelta(weight, torch.tensor([1]))
    delta.write(weight)
    other = copy.deepcopy(delta)
    with torch.no_grad():
        for _ in range(delta.values._version - other.values._version):
            other.values.add_(1.0)
        assert torch.equal(other(weight), torch.tensor([0.0, float(other.values), 0.0, 0.0]))


def test_other_values_may_be_put_in_their_place_for_one_pass(adapted) -> None:
    policy, attached = adapted
    mine = dict(policy.named_trainable())
    others = {name: (value + 1.0).detach().requires_grad_() for name, value in mine.items()}
    out = functional_call(policy.model, others, kwargs={"input_ids": TOKENS, "use_cache": False}).logits
    out.square().sum().backward()
    with torch.no_grad():
        for name, value in mine.items():
            value.copy_(others[name])
    torch.testing.assert_close(out, logits(policy), rtol=0, atol=ROUNDING)
    assert all(float(value.grad.norm()) > 0 for value in others.values())
    assert all(value.grad is None for value in mine.values())
    assert attached


def test_gradients_have_gradients() -> None:
    weight = torch.arange(4.0, dtype=torch.float64)
    delta = SparseDelta(weight, torch.tensor([1, 3]))
    delta.write(weight)
    (first,) = torch.autograd.grad((delta(weight) ** 3).sum(), delta.values, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), delta.values)
    assert first.tolist() == [3.0, 27.0]
    assert second.tolist() == [6.0, 18.0]


def test_a_root_module_may_own_the_weight() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.zeros(3))

    model = Table()
    attached = attach_deltas(model, {"table": torch.tensor([2])})
    with torch.no_grad():
        attached.deltas["table"].values.fill_(5.0)
    assert {name: value.tolist() for name, value in attached.plain_weights().items()} == {"table": [0.0, 0.0, 5.0]}
    attached.merge()
    assert model.table.tolist() == [0.0, 0.0, 5.0]


@pytest.mark.parametrize("count", [0, 1, 3, 7, 8])
def test_the_largest_are_exactly_as_many(count: int) -> None:
    scores = torch.tensor([2.0, 5.0, 2.0, 1.0, 2.0, 9.0, 0.0, 0.0])
    ranked = sorted(range(8), key=lambda i: (-float(scores[i]), i))
    assert largest(scores, count).tolist() == sorted(ranked[:count])
