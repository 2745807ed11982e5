"""Cutting off, entering and pushing the layers of a policy, in every architecture."""

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from fixtures.folders import VOCABULARY, deep_policy
from fixtures.sequences import sequence, spell
from posttrain.batching import collate
from posttrain.blocks import Section, blocks, pushed, up_to
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.types import Origin
from tolerances import MODEL, ROUNDING, VISIBLE

ARCHITECTURES = pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
LAYERS = 4
TEXT = torch.tensor([5, 17, 250, 3, 99, 42, 7, 8, 120, 31])


def view(policy: Policy, keeps_layers: bool = False) -> Forward:
    rows = [
        sequence([k % VOCABULARY for k in range(3, 3 + 5 * n, 5)], spell("p" + "g" * (n - 1)), uid=n) for n in (9, 5)
    ]
    batch = collate(rows, 0, torch.device("cpu"))
    positions = batch.origin != int(Origin.PROMPT)
    return Forward(policy, batch, positions, keeps_layers=keeps_layers)


@ARCHITECTURES
@pytest.mark.parametrize("depth", [1, 3, LAYERS])
def test_a_policy_that_was_cut_off_is_the_exit_at_that_depth(architecture: str, depth: int) -> None:
    policy = deep_policy(architecture)
    exit_ = view(policy, keeps_layers=True).at_exit(depth).logprobs
    torch.testing.assert_close(view(up_to(policy, depth)).logprobs, exit_, rtol=0, atol=MODEL)
    different = float((exit_ - view(policy).logprobs).detach().abs().max())
    assert different > VISIBLE if depth < LAYERS else different < MODEL


@ARCHITECTURES
def test_the_whole_policy_is_left_as_it_was(architecture: str) -> None:
    policy = deep_policy(architecture)
    before = view(policy).logprobs.detach()
    cut = up_to(policy, 2)
    cut.model(input_ids=TEXT[None], use_cache=False)
    assert len(blocks(policy)) == policy.model.config.num_hidden_layers == LAYERS
    assert len(blocks(cut)) == cut.model.config.num_hidden_layers == 2
    assert torch.equal(view(policy).logprobs, before)


@ARCHITECTURES
def test_both_have_the_same_weights_and_gradients(architecture: str) -> None:
    policy = deep_policy(architecture)
    cut = up_to(policy, 2)
    mine, theirs = policy.named_trainable(), cut.named_trainable()
    assert all(mine[name] is parameter for name, parameter in theirs.items())
    view(cut).logprobs.sum().backward()
    dropped = set(mine) - set(theirs)
    assert len(dropped) == (LAYERS - 2) * len(list(blocks(policy)[0].parameters()))
    assert all(mine[name].grad is None for name in dropped)
    assert any(bool(mine[name].grad.any()) for name in theirs)


@ARCHITECTURES
def test_layers_are_recorded_once_each_whoever_asks_first(architecture: str) -> None:
    policy = deep_policy(architecture)
    cut = up_to(policy, 1)
    assert len(view(cut).layers) == 2
    assert len(view(policy).layers) == LAYERS + 1
    assert len(view(cut).layers) == 2


@pytest.mark.parametrize("depth", [0, LAYERS + 1])
def test_a_depth_that_the_model_does_not_have_is_refused(depth: int) -> None:
    with pytest.raises(UserError, match="choose 1 to 4"):
        up_to(deep_policy("qwen2"), depth)


def test_a_model_whose_layers_are_not_in_one_list_is_refused() -> None:
    policy = deep_policy("qwen2")
    policy.model.base_model.layers = nn.ModuleList(list(blocks(policy))[:1])
    with pytest.raises(UserError, match="not in one list"):
        blocks(policy)


@ARCHITECTURES
@pytest.mark.parametrize("asked", [(1,), (1, 10), (4, 5, 9, 10), tuple(range(1, 11))], ids=str)
def test_a_section_catches_up_on_everything_it_was_not_asked_about(architecture: str, asked: tuple[int, ...]) -> None:
    """The first section reads every token when it comes, the second one only when it is asked."""
    policy = deep_policy(architecture)
    with torch.no_grad():
        expected = policy.model.base_model(input_ids=TEXT[None], use_cache=False).last_hidden_state[0]
        first, second = Section(policy, 0, 3), Section(policy, 3, LAYERS)
        cache = DynamicCache(config=policy.model.config)
        first.begin(cache)
        second.begin(cache)
        read = 0
        for length in range(1, len(TEXT) + 1):
            second.hand(first.read(TEXT[:length]))
            if length in asked:
                states = policy.final_norm(second.read(TEXT[:length])[0])
                torch.testing.assert_close(states, expected[read:length], rtol=0, atol=MODEL)
                read = length
        assert read == asked[-1]


@ARCHITECTURES
def test_a_text_begins_anew(architecture: str) -> None:
    policy = deep_policy(architecture)
    section = Section(policy, 0, LAYERS)
    with torch.no_grad():
        passes = []
        for text in (TEXT, TEXT[2:]):
            section.begin(DynamicCache(config=policy.model.config))
            passes.append(section.read(text))
        section.begin(DynamicCache(config=policy.model.config))
        assert torch.equal(section.read(TEXT), passes[0])


def shifts_of(policy: Policy) -> list[Tensor]:
    """Not constant along a state: a layer norm would take that away again."""
    return [k * torch.linspace(-1, 1, policy.width, dtype=torch.float64) for k in range(1, LAYERS)]


def test_a_push_is_a_bias_of_the_layer_before() -> None:
    """GPT-2's layers end with a bias, so that pushing can be said in its weights."""
    policy = deep_policy("gpt2")
    before = view(policy).logprobs.detach()
    with pushed(policy, shifts_of(policy)):
        there = view(policy).logprobs
    assert float((there - before).detach().abs().max()) > VISIBLE
    with torch.no_grad():
        for block, shift in zip(blocks(policy), shifts_of(policy)):
            block.mlp.c_proj.bias += shift
    torch.testing.assert_close(there, view(policy).logprobs, rtol=0, atol=MODEL)


def fail_while_pushed(policy: Policy) -> None:
    before = view(policy).logprobs.detach()
    with pushed(policy, shifts_of(policy)):
        assert float((view(policy).logprobs - before).detach().abs().max()) > VISIBLE
        raise KeyError


@ARCHITECTURES
def test_pushing_ends_with_its_block_even_if_something_fails(architecture: str) -> None:
    policy = deep_policy(architecture)
    before = view(policy).logprobs.detach()
    with pytest.raises(KeyError):
        fail_while_pushed(policy)
    torch.testing.assert_close(view(policy).logprobs, before, rtol=0, atol=ROUNDING)
