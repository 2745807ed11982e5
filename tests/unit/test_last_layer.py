"""What the last layer computes for nobody is left out, and nothing else changes."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, nn

from fixtures.folders import ARCHITECTURES, float64_policy
from fixtures.models import tiny_policy, with_scorer
from fixtures.sequences import sequence
from posttrain import last_layer
from posttrain.adapters.lora import Lora
from posttrain.batching import collate
from posttrain.blocks import up_to
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.forward import Forward
from posttrain.last_layer import at_tokens_of, feed_forward_of
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention
from posttrain.sampling import Sampling
from posttrain.types import Origin, TokenBatch
from tolerances import FLOAT32_RECORD, GRADIENT, MODEL

LENGTHS = some.lists(some.tuples(some.integers(1, 6), some.integers(0, 6)), min_size=1, max_size=4)
"""Of prompts and of what follows them."""


def batch_of(lengths: list[tuple[int, int]], group: int | None = None) -> TokenBatch:
    """Prompts that begin alike, each continued in its own way."""
    rows = []
    for uid, (prompt, rest) in enumerate(lengths):
        tokens = [*(t % 9 + 1 for t in range(prompt)), *((3 * uid + 5 * t) % 9 + 1 for t in range(rest))]
        origins = [Origin.PROMPT] * prompt + [Origin.SAMPLED] * rest
        rows.append(sequence(tokens, origins, uid=uid, group=uid if group is None else group))
    return collate(rows, 0, torch.device("cpu"))


def logprobs_and_gradients(policy: Policy, batch: TokenBatch) -> tuple[Tensor, list[Tensor]]:
    policy.model.zero_grad()
    view = Forward(policy, batch, batch.origin == int(Origin.SAMPLED))
    (view.logprobs * torch.linspace(0.5, 1.5, batch.tokens.numel()).view(batch.tokens.shape)).sum().backward()
    named = [p for p in policy.model.parameters() if p.requires_grad]
    return view.logprobs.detach(), [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in named]


def by_plain_passes(policy: Policy, batch: TokenBatch) -> tuple[Tensor, list[Tensor]]:
    """The same from the model's own logits, a sequence at a time."""
    policy.model.zero_grad()
    weights, found = torch.linspace(0.5, 1.5, batch.tokens.numel()).view(batch.tokens.shape), []
    for tokens, origin, weight in zip(batch.tokens, batch.origin, weights):
        logprobs = policy.model(tokens[None], use_cache=False).logits[0, :-1].log_softmax(-1)
        own = nn.functional.pad(logprobs.gather(1, tokens[1:, None])[:, 0], (1, 0))
        found.append(own * (origin == int(Origin.SAMPLED)))
        (found[-1] * weight).sum().backward()
    named = [p for p in policy.model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in named]
    return torch.stack(found).detach(), gradients


def check_alike(policy: Policy, batch: TokenBatch) -> None:
    expected = by_plain_passes(policy, batch)
    found = logprobs_and_gradients(reading_few(policy), batch)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=MODEL)
    torch.testing.assert_close(found[1], expected[1], rtol=GRADIENT, atol=FLOAT32_RECORD)


def reading_few(policy: Policy) -> Policy:
    """The policy, which now leaves out every token that nobody reads, not only as many as make a round number."""
    assert policy._at_tokens is not None
    policy._at_tokens._multiple = 1
    return policy


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("group", [None, 0], ids=["apart", "sharing"])
def test_log_probabilities_and_gradients_are_what_they_were(architecture: str, group: int | None) -> None:
    policy = float64_policy(architecture)
    choose_attention(policy.model)
    check_alike(policy, batch_of([(6, 3), (6, 1), (4, 5)], group))


@settings(max_examples=30)
@given(LENGTHS.filter(lambda lengths: any(rest for _, rest in lengths)))
def test_so_they_are_for_sequences_of_any_lengths(lengths: list[tuple[int, int]]) -> None:
    policy = tiny_policy()
    choose_attention(policy.model)
    check_alike(policy, batch_of(lengths))
    check_alike(policy, batch_of(lengths, group=0))


def test_so_they_are_under_an_adapter() -> None:
    policy = tiny_policy()
    Lora(targets=("gate_proj", "down_proj")).attach(policy, 0, {})
    for parameter in policy.trainable():  # one half of an adapter begins at zero
        nn.init.normal_(parameter)
    check_alike(policy, batch_of([(6, 3), (5, 2)]))


def test_so_they_are_of_a_model_that_is_cut_off() -> None:
    check_alike(up_to(float64_policy("qwen2"), 1), batch_of([(6, 3), (5, 2)]))


def asked(policy: Policy) -> list[int]:
    """How many tokens the last feed-forward is asked about in every pass from now on."""
    passed: list[int] = []
    activation = feed_forward_of(policy.model).act_fn
    activation.register_forward_hook(lambda module, given, out: passed.append(given[0].shape[:-1].numel()))
    return passed


def test_nobody_is_asked_about_a_prompt() -> None:
    policy, other = reading_few(tiny_policy()), tiny_policy()
    passed, rounded = asked(policy), asked(other)
    logprobs_and_gradients(policy, batch_of([(6, 3), (6, 2)]))
    logprobs_and_gradients(other, batch_of([(40, 3), (40, 3)]))
    assert passed == [5]
    assert rounded == [64]


def test_of_a_prompt_that_is_continued_the_last_token_is_read() -> None:
    prompts, written, counts = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])], [], []
    for policy in (reading_few(tiny_policy()), tiny_policy()):
        counts.append(asked(policy))
        engine = HuggingFaceEngine()
        engine.load(policy, 0)
        written.append(engine.generate(prompts, Sampling(0.0, 2), 1, torch.Generator().manual_seed(0)))
    assert counts == [[2, 2], [6, 2]]
    for (one,), (other,) in zip(*written):
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.logprobs, other.logprobs, rtol=0, atol=MODEL)


def test_a_score_is_of_a_state_that_is_right() -> None:
    policy = reading_few(with_scorer(tiny_policy()))
    batch = batch_of([(6, 3), (6, 1)])
    positions = torch.zeros_like(batch.origin, dtype=torch.bool)
    positions[:, 2] = True
    found = Forward(policy, batch, positions).scores
    with patch.object(last_layer, "WORTH_LEAVING", 2.0):
        expected = Forward(policy, batch, positions).scores
    torch.testing.assert_close(found, expected, rtol=0, atol=MODEL)


def test_layers_that_are_read_are_whole() -> None:
    policy, batch = tiny_policy(), batch_of([(6, 3), (6, 1)])
    view = Forward(policy, batch, batch.origin == int(Origin.SAMPLED), keeps_layers=True)
    states = policy.model.model(batch.tokens, use_cache=False).last_hidden_state
    torch.testing.assert_close(view.layers[-1], states, rtol=0, atol=MODEL)


def test_a_pass_inside_another_is_refused() -> None:
    policy, read = tiny_policy(), torch.tensor([[True, *[False] * 200]])
    with policy.reading(read), pytest.raises(RuntimeError, match="inside another"), policy.reading(read):
        pass


def test_after_a_pass_everything_is_as_it_was() -> None:
    policy = tiny_policy()
    logprobs_and_gradients(policy, batch_of([(6, 3)]))
    assert "forward" not in feed_forward_of(policy.model).__dict__


def behind_it(layer: nn.Module) -> None:
    layer.register_forward_hook(lambda module, given, states: states + states.roll(1, 1))


def told_more(layer: nn.Module) -> None:
    plain = type(layer.mlp).forward
    layer.mlp.register_forward_pre_hook(lambda module, given, named: (given, {"ids": 1}), with_kwargs=True)
    layer.mlp.__class__ = type("Told", (type(layer.mlp),), {"forward": lambda self, x, ids: plain(self, x)})


def without_one(layer: nn.Module) -> None:
    layer.forward = lambda states, *given, **named: states
    del layer._modules["mlp"]


@pytest.mark.parametrize("change", [behind_it, told_more, without_one])
def test_a_layer_of_another_kind_is_left_alone(change: Callable[[nn.Module], None]) -> None:
    model = tiny_policy().model
    change(model.model.layers[-1])
    assert at_tokens_of(model) is None


def test_a_feed_forward_that_two_layers_have_is_left_alone() -> None:
    model = tiny_policy().model
    model.model.layers[-1].mlp = model.model.layers[0].mlp
    assert at_tokens_of(model) is None


def test_an_input_of_another_shape_is_refused() -> None:
    policy = tiny_policy()
    with (
        policy.reading(torch.tensor([[True, *[False] * 200]])),
        pytest.raises(RuntimeError, match="another number of tokens"),
    ):
        feed_forward_of(policy.model)(torch.zeros(1, 3, 32, dtype=torch.float64))


def test_a_module_that_was_put_in_its_place_is_not_trusted() -> None:
    policy = tiny_policy()
    policy.model.model.layers[-1].mlp = nn.Identity()
    assert policy.around(policy.model)._at_tokens is None


def test_a_layer_that_has_come_behind_is_the_last_one() -> None:
    policy = tiny_policy()
    layers = policy.model.model.layers
    layers[0], layers[1] = layers[1], layers[0]
    with policy.reading(torch.tensor([[True, *[False] * 200]])):
        assert not any("forward" in layer.mlp.__dict__ for layer in layers)
