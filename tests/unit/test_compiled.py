"""Compiled layers compute what layers compute, in training passes, and are seen nowhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch._dynamo.exc import FailOnRecompileLimitHit

from fixtures.models import tiny_policy
from fixtures.sequences import sequence
from posttrain.adapters.lora import Lora
from posttrain.adapters.sparse_delta import attach_deltas
from posttrain.batching import collate
from posttrain.blocks import blocks
from posttrain.compiled import CompiledLayers
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import choose_attention, prefixes
from posttrain.sampling import Sampling
from posttrain.types import Origin, TokenBatch
from tolerances import FLOAT32_MODEL

pytestmark = pytest.mark.filterwarnings("ignore")
"""While it compiles, torch warns of parts of its own, and asks tensors for what it then hides warnings of."""
LENGTHS = ([40, 39], [200, 199])
"""Of batches: short sequences in one block of attention, long ones in several; nearly no padding."""


def batch_of(lengths: list[int], common: int = 0) -> TokenBatch:
    """Sequences of these lengths that begin alike for ``common`` tokens."""
    made = [
        [*range(1, common + 1), *((7 * i + 3 * t) % 9 + 1 for t in range(common, n))] for i, n in enumerate(lengths)
    ]
    rows = [sequence(tokens, [Origin.GIVEN] * len(tokens), uid=i) for i, tokens in enumerate(made)]
    return collate(rows, 0, torch.device("cpu"))


def passed(policy: Policy, batch: TokenBatch) -> tuple[Tensor, list[Tensor]]:
    """Log-probabilities, and the gradients of their mean."""
    positions = batch.attention_mask.bool()
    positions[:, 0] = False
    logprobs = Forward(policy, batch, positions).logprobs
    (logprobs.sum() / positions.sum()).backward()
    gradients = [p.grad.clone() for p in policy.model.parameters() if p.grad is not None]
    policy.model.zero_grad()
    return logprobs.detach(), gradients


def check_alike(policy: Policy, batch: TokenBatch) -> None:
    compiled, policy.training_pass = policy.training_pass, nullcontext
    plain = passed(policy, batch)
    policy.training_pass = compiled
    torch.testing.assert_close(passed(policy, batch)[0], plain[0], rtol=0, atol=FLOAT32_MODEL)
    torch.testing.assert_close(passed(policy, batch)[1], plain[1], rtol=0, atol=FLOAT32_MODEL)


def compiled(backend: str) -> Policy:
    policy = tiny_policy(context=256)
    choose_attention(policy.model)
    with patch.object(torch, "compile", partial(torch.compile, backend=backend)):
        try:
            policy.training_pass = CompiledLayers(list(blocks(policy)))
        except UserError as error:
            pytest.skip(str(error))
    return policy


@pytest.fixture(scope="module")
def compiled_policy() -> Iterator[Policy]:
    yield compiled("inductor")
    torch.compiler.reset()


@pytest.fixture
def traced_policy() -> Iterator[Policy]:
    """Its layers are cut into programs as ever, but nothing is made of these, which would take a while."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    yield compiled("aot_eager")
    torch.compiler.reset()


@pytest.mark.parametrize("lengths", LENGTHS)
def test_states_and_gradients_are_those_of_layers_as_they_are(compiled_policy: Policy, lengths: list[int]) -> None:
    check_alike(compiled_policy, batch_of(lengths))


def test_so_they_are_where_sequences_begin_alike(traced_policy: Policy) -> None:
    check_alike(traced_policy, batch_of([9, 8, 6], common=5))


def test_so_they_are_where_the_last_layer_leaves_out_tokens(traced_policy: Policy) -> None:
    programs = set()
    for lengths in ([140, 139], [110, 100], [90, 90, 90]):
        batch = batch_of(lengths)
        positions = batch.attention_mask.bool()
        positions[:, :50] = False
        with patch.object(traced_policy, "training_pass", nullcontext):
            plain = Forward(traced_policy, batch, positions).logprobs
        torch.testing.assert_close(Forward(traced_policy, batch, positions).logprobs, plain, rtol=0, atol=FLOAT32_MODEL)
        programs.add(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    # Short sequences are read in one block, which is another program, and no more are made for other batches.
    assert len(programs) <= 2


def test_so_they_are_under_an_adapter_and_after_it_is_merged(traced_policy: Policy) -> None:
    adapter = Lora(targets=("q_proj",)).attach(traced_policy, 0, {})
    for parameter in traced_policy.trainable():  # one half of an adapter begins at zero
        torch.nn.init.normal_(parameter, std=0.1)
    check_alike(traced_policy, batch_of([7, 7, 6]))
    adapter.merge()
    check_alike(traced_policy, batch_of([7, 7, 6]))


def test_layers_that_are_alike_are_compiled_once(traced_policy: Policy) -> None:
    passed(traced_policy, batch_of([7, 7, 6]))
    passed(traced_policy, batch_of([11, 11]))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_entries_that_move_with_every_update_are_no_reason_to_compile_again(traced_policy: Policy) -> None:
    """Sparse deltas count the updates of their values."""
    name = "model.layers.0.self_attn.q_proj.weight"
    deltas = attach_deltas(traced_policy.model, {name: torch.tensor([0, 5])})
    counts = []
    for _ in range(3):
        passed(traced_policy, batch_of([7, 7, 6]))
        counts.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        with torch.no_grad():
            deltas.deltas[name].values.add_(0.01)
        deltas.write()
    deltas.merge()
    assert len(set(counts)) == 1


def test_hooks_that_come_later_are_seen(traced_policy: Policy) -> None:
    check_alike(traced_policy, batch_of([7, 7, 6]))
    hook = blocks(traced_policy)[0].mlp.register_forward_hook(lambda module, given, out: out * 3)
    check_alike(traced_policy, batch_of([7, 7, 6]))
    hook.remove()


def test_layers_that_cannot_be_compiled_are_not_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(function: object, **options: object) -> Callable[..., object]:
        def refused(*given: object, **named: object) -> object:
            raise FailOnRecompileLimitHit("recompile_limit reached")

        return refused

    monkeypatch.setattr(torch, "compile", refusing)
    policy = tiny_policy()
    policy.training_pass = CompiledLayers(list(blocks(policy)))
    with pytest.raises(UserError, match="choose --layers eager"):
        passed(policy, batch_of([7, 5]))


class Noted:
    """A training pass that notes how often it is entered."""

    def __init__(self) -> None:
        self.entered = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.entered += 1
        yield


def noted(policy: Policy) -> Noted:
    found = Noted()
    policy.training_pass = found
    return found


def test_passes_without_a_gradient_and_writing_see_the_layers_as_they_are() -> None:
    policy = tiny_policy()
    entries, batch = noted(policy), batch_of([7, 5])
    with torch.no_grad():
        positions = batch.attention_mask.bool()
        positions[:, 0] = False
        assert Forward(policy, batch, positions).logprobs.isfinite().all()
    engine = HuggingFaceEngine()
    engine.load(policy, 0)
    engine.generate([torch.tensor([1, 2])], Sampling(1.0, 3), 2, torch.Generator().manual_seed(0))
    assert entries.entered == 0
    positions = batch.attention_mask.bool()
    positions[:, 0] = False
    plain = Forward(policy, batch, positions)
    assert plain.again(parameters=policy.named_trainable()).layers
    assert entries.entered == 0
    passed(policy, batch)
    assert entries.entered == 1


def test_a_pass_over_what_sequences_have_in_common_is_a_training_pass() -> None:
    policy = tiny_policy()
    choose_attention(policy.model)
    entries, batch = noted(policy), batch_of([9, 8, 6], common=5)
    assert prefixes(batch, batch.attention_mask.sum(1)) is not None
    passed(policy, batch)
    assert entries.entered == 1


@pytest.mark.parametrize("other", [Policy.frozen_copy, lambda policy: policy.around(policy.model)])
def test_other_policies_made_of_a_compiled_one_are_not(other: Callable[[Policy], Policy]) -> None:
    policy = tiny_policy()
    noted(policy)
    assert other(policy).training_pass is nullcontext


def test_layers_are_as_they_were_after_a_pass_and_after_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    policy = tiny_policy()
    first, second = blocks(policy)
    mine = first.forward
    first.forward = lambda *given, **named: mine(*given, **named)
    before = first.forward
    within = CompiledLayers(list(blocks(policy)))
    with within():
        assert first.forward is not before
        assert "forward" in vars(second)
    with pytest.raises(ZeroDivisionError), within():
        raise ZeroDivisionError
    assert first.forward is before
    assert "forward" not in vars(second)


def test_without_a_compiler_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(UserError, match=r"C\+\+ compiler; install g\+\+"):
        CompiledLayers(list(blocks(tiny_policy())))
