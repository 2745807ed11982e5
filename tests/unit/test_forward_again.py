"""Second passes, layers, exits and heads of one forward view."""

import pytest
import torch
from torch import Tensor, nn

from fixtures.models import tiny_policy
from fixtures.sequences import ragged
from posttrain.batching import collate
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.types import Origin, TokenBatch
from tolerances import FLOAT32_MODEL, MODEL, VISIBLE


def batch() -> TokenBatch:
    return collate(ragged(4), 0, torch.device("cpu"))


def view(policy: Policy) -> Forward:
    made = batch()
    positions = made.origin != int(Origin.PROMPT)
    positions[:, 0] = False
    return Forward(policy, made, positions)


def test_the_same_inputs_and_weights_give_the_same(policy: Policy) -> None:
    first = view(policy)
    inputs = policy.embed(first.batch.tokens)
    torch.testing.assert_close(first.again(inputs=inputs).logprobs, first.logprobs, rtol=0, atol=MODEL)
    weights = {name: p.detach().clone() for name, p in policy.named_trainable().items()}
    for again, layer in zip(first.again(parameters=weights).layers, view(policy).layers, strict=True):
        torch.testing.assert_close(again, layer, rtol=0, atol=MODEL)


def test_other_inputs_and_weights_give_something_else_and_carry_gradients(policy: Policy) -> None:
    first = view(policy)
    inputs = (policy.embed(first.batch.tokens) * 2).detach().requires_grad_()
    changed = first.again(inputs=inputs).logprobs
    assert float((changed - first.logprobs).detach().abs().max()) > VISIBLE
    changed.sum().backward()
    assert bool(inputs.grad.any())
    moved = {name: p * 1.5 for name, p in policy.named_trainable().items()}
    policy.model.zero_grad()
    first.again(parameters=moved).layers[-1].sum().backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in policy.trainable())


def test_under_other_weights_there_is_no_head(policy: Policy) -> None:
    with pytest.raises(RuntimeError, match="only layers exist"):
        view(policy).again(parameters=policy.named_trainable()).logprobs  # noqa: B018


def test_layers_are_asked_for_first(policy: Policy) -> None:
    forward = view(policy)
    forward.logprobs  # noqa: B018
    with pytest.raises(RuntimeError, match="layers are read before"):
        forward.layers  # noqa: B018


@pytest.mark.parametrize("first", ["logprobs", "layers"])
def test_announced_layers_are_there_in_any_order_and_cost_one_pass(policy: Policy, first: str) -> None:
    made, passes = view(policy), []
    forward = Forward(policy, made.batch, made.positions, keeps_layers=True)
    policy.model.base_model.register_forward_hook(lambda *ignored: passes.append(1))
    getattr(forward, first)
    torch.testing.assert_close(forward.logprobs, made.logprobs, rtol=0, atol=0)
    assert len(forward.layers) == policy.model.config.num_hidden_layers + 1
    assert len(passes) == 2  # one of each view


def test_all_exits_share_the_pass_of_a_frozen_policy(policy: Policy) -> None:
    made, frozen, passes = view(policy), tiny_policy(seed=1).frozen_copy(), []
    frozen.model.base_model.register_forward_hook(lambda *ignored: passes.append(1))
    forward = Forward(policy, made.batch, made.positions, {"other": frozen}, keeps_layers=True)
    for exit_ in (1, 2):
        forward.at_exit(exit_).against("other", lambda ours, theirs: (ours - theirs).abs().sum(-1))
    assert len(passes) == 1


def depth(policy: Policy) -> int:
    return len(view(policy).layers) - 1


def test_the_last_exit_is_the_model(policy: Policy) -> None:
    last = view(policy).at_exit(depth(policy))
    torch.testing.assert_close(last.logprobs, view(policy).logprobs, rtol=0, atol=MODEL)
    torch.testing.assert_close(last.entropy, view(policy).entropy, rtol=0, atol=MODEL)


def test_an_earlier_exit_is_the_truncated_model(policy: Policy) -> None:
    exit_ = view(policy).at_exit(1).logprobs
    layers, count = policy.model.base_model.layers, policy.model.config.num_hidden_layers
    policy.model.config.num_hidden_layers = 1
    policy.model.base_model.layers = nn.ModuleList(list(layers)[:1])
    truncated = view(policy).logprobs
    policy.model.config.num_hidden_layers, policy.model.base_model.layers = count, layers
    torch.testing.assert_close(exit_, truncated, rtol=0, atol=MODEL)
    assert float((exit_ - view(policy).logprobs).detach().abs().max()) > VISIBLE / 10


def test_an_exit_that_is_not_there_is_refused(policy: Policy) -> None:
    for wrong in (0, depth(policy) + 1):
        with pytest.raises(ValueError, match="cannot end after"):
            view(policy).at_exit(wrong)


def test_values_are_the_heads_number_for_the_state_before_the_token(policy: Policy) -> None:
    head = nn.Linear(policy.width, 1)
    policy.heads = {"value": head}
    forward = view(policy)
    states: Tensor = view(policy).layers[-1]
    expected = torch.zeros(forward.positions.shape)
    for row, t in forward.positions.nonzero().tolist():
        expected[row, t] = head(states[row, t - 1].float()).detach()
    torch.testing.assert_close(forward.values.detach(), expected, rtol=0, atol=FLOAT32_MODEL)


def test_a_model_whose_final_norm_is_unknown_has_no_exits() -> None:
    policy = tiny_policy()
    policy.model.base_model.closing = policy.model.base_model.norm
    del policy.model.base_model._modules["norm"]
    with pytest.raises(UserError, match="final norm"):
        policy.final_norm(torch.zeros(1, 1, policy.width))
