"""Undesirable neighbours: how far they are, in which direction, and what their distance teaches."""

import copy
import dataclasses
import math

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor

from fixtures.folders import deep_policy
from fixtures.models import tiny_policy
from fixtures.sequences import sequence, spell
from fixtures.training import accumulate
from posttrain.batching import PerToken, collate, weigh
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.objectives.undesirable import (
    NEIGHBOUR,
    AscentInStates,
    AscentInWeights,
    MovedStates,
    MovedWeights,
    Neighbour,
    RandomInWeights,
    StateDistance,
)
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import GRADIENT, MODEL, ROUNDING, VISIBLE

ARCHITECTURES = pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
GIVEN = frozenset({Origin.GIVEN})
OURS = [
    sequence([3, 9, 4, 7, 2, 0], spell("ppgggg"), uid=1, stream="answers"),
    sequence([5, 8, 1, 6, 11, 0], spell("pgoggg"), uid=2, stream="answers"),
]
OTHERS = [
    sequence([7, 3, 3, 12, 5, 10, 0], spell("pppgsgg"), uid=3, stream="undesirable"),
    sequence([2, 13, 0], spell("pgg"), uid=4, stream="undesirable"),
]
BATCH = [*OURS, *OTHERS]


def mean_loss(policy: Policy, rows: list[TrainingSequence] = OTHERS) -> Tensor:
    """The mean of -log p over the written tokens of whole passes, one row at a time."""
    losses = []
    for row in rows:
        logits = policy.model(input_ids=row.tokens[None], use_cache=False).logits[0, :-1]
        own = -torch.log_softmax(logits, -1).gather(-1, row.tokens[1:, None])[:, 0]
        losses.append(own[(row.origin == int(Origin.GIVEN))[1:] | (row.origin == int(Origin.SAMPLED))[1:]])
    return torch.cat(losses).mean()


def moved(policy: Policy, neighbour: MovedWeights, times: float = 1.0) -> Policy:
    """A policy of its own with the neighbour's weights."""
    other = Policy(copy.deepcopy(policy.model), policy.text)
    with torch.no_grad():
        for name, parameter in other.named_trainable().items():
            parameter.add_(neighbour.steps[name], alpha=times)
    return other


def length_of(steps: list[Tensor]) -> float:
    return math.sqrt(sum(float(step.square().sum()) for step in steps))


@ARCHITECTURES
@pytest.mark.parametrize("part", [AscentInWeights, AscentInStates, RandomInWeights])
@pytest.mark.parametrize("length", [0.1, 3.0])
def test_the_step_has_its_length_in_all_places_together(architecture: str, part, length: float) -> None:
    neighbour = part(length)(BATCH, deep_policy(architecture), 1000)
    steps = list(neighbour.steps.values() if isinstance(neighbour, MovedWeights) else neighbour.steps)
    assert length_of(steps) == pytest.approx(length, rel=MODEL)


@ARCHITECTURES
def test_the_weights_step_along_the_gradient_of_the_other_streams_mean_loss(architecture: str) -> None:
    policy = deep_policy(architecture)
    neighbour = AscentInWeights(0.5)(BATCH, policy, 1000)
    own = policy.named_trainable()
    gradients = torch.autograd.grad(mean_loss(policy), list(own.values()))
    norm = length_of(list(gradients))
    assert set(neighbour.steps) == set(own)
    for name, gradient in zip(own, gradients):
        torch.testing.assert_close(neighbour.steps[name], 0.5 * gradient / norm, rtol=GRADIENT, atol=GRADIENT)


def test_the_loss_rises_by_length_times_gradient_to_first_order() -> None:
    policy = tiny_policy()
    neighbour = AscentInWeights(1e-4)(BATCH, policy, 1000)
    norm = length_of(list(torch.autograd.grad(mean_loss(policy), list(policy.named_trainable().values()))))
    with torch.no_grad():
        up, down = (float(mean_loss(moved(policy, neighbour, sign))) for sign in (1.0, -1.0))
    assert (up - down) / 2e-4 == pytest.approx(norm, rel=VISIBLE)


@ARCHITECTURES
def test_the_states_step_along_the_gradient_of_what_is_added_to_them(architecture: str) -> None:
    """By finite differences: the loss of the moved model, in the found direction and in another one."""
    policy = deep_policy(architecture)
    found = AscentInStates(1.0)(BATCH, policy, 1000).steps
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(step.shape, generator=generator, dtype=torch.float64) for step in found]
    other = [step / length_of(noise) for step in noise]
    slopes = [(moved_loss(policy, d, 1e-4) - moved_loss(policy, d, -1e-4)) / 2e-4 for d in (list(found), other)]
    cosine = sum(float((a * b).sum()) for a, b in zip(found, other))
    assert slopes[0] > VISIBLE
    assert slopes[1] == pytest.approx(cosine * slopes[0], rel=VISIBLE, abs=VISIBLE * slopes[0])


def moved_loss(policy: Policy, direction: list[Tensor], times: float) -> float:
    """The other stream's mean loss of the moved model."""
    with torch.no_grad():
        batch = collate(OTHERS, 0, torch.device("cpu"))
        positions = (batch.origin == int(Origin.GIVEN)) | (batch.origin == int(Origin.SAMPLED))
        view = Forward(policy, batch, positions)
        view.__dict__["_last_layer"] = MovedStates(tuple(times * d for d in direction)).layers(view)[-1]
        return -float(view.logprobs[positions].mean())


def test_no_step_is_the_model_itself() -> None:
    policy = deep_policy("gpt2")
    view = forward(policy)
    still: list[Neighbour] = [AscentInWeights(0.0)(BATCH, policy, 1000), AscentInStates(0.0)(BATCH, policy, 1000)]
    for neighbour in still:
        for theirs, own in zip(neighbour.layers(view), view.layers, strict=True):
            torch.testing.assert_close(theirs, own, rtol=0, atol=MODEL)


def with_fresh_lora(policy: Policy) -> Policy:
    """The policy with an adapter that changes nothing yet: its second factors are zeros."""
    settings = LoraConfig(r=4, target_modules=["q_proj", "down_proj"])
    return Policy(inject_adapter_in_model(settings, policy.model).double(), policy.text)


def test_of_a_fresh_lora_only_the_second_factors_move_and_the_distance_reaches_them() -> None:
    policy = with_fresh_lora(deep_policy("llama"))
    neighbour = AscentInWeights(3.0)(BATCH, policy, 1000)
    assert len(neighbour.steps) == 4 * 2 * 2
    assert all(bool(step.any()) == ("lora_B" in name) for name, step in neighbour.steps.items())
    view = forward(policy, neighbour)
    (StateDistance()(view, view.batch) * view.batch.weights["distance"]).sum().backward()
    assert all(bool(p.grad.any()) for name, p in policy.named_trainable().items() if "lora_B" in name)


def test_states_move_although_nothing_but_an_adapter_is_trained() -> None:
    neighbour = AscentInStates()(BATCH, with_fresh_lora(deep_policy("llama")), 1000)
    assert all(bool(step.any()) for step in neighbour.steps)


def test_other_streams_and_the_stages_weights_do_not_matter() -> None:
    policy = tiny_policy()
    one, other = AscentInWeights()(BATCH, policy, 1000), AscentInWeights()(OTHERS, policy, 1000)
    assert all(torch.equal(one.steps[name], other.steps[name]) for name in one.steps)


def test_random_steps_differ_between_minibatches_only() -> None:
    policy = tiny_policy()
    later = [dataclasses.replace(row, uid=row.uid + 10) for row in BATCH]
    first, again, second = (RandomInWeights()(rows, policy, 1000).steps for rows in (BATCH, BATCH[::-1], later))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("part", [AscentInWeights(stream="elsewhere"), AscentInStates(stream="elsewhere")], ids=str)
def test_a_stream_that_is_not_there_is_refused(part) -> None:
    with pytest.raises(UserError, match="no sequence of stream 'elsewhere'"):
        part(BATCH, tiny_policy(), 1000)


def forward(policy: Policy, neighbour: Neighbour | None = None) -> Forward:
    term = Term("distance", StateDistance(), GIVEN, PerToken())
    batch = collate(weigh(OURS, [term], float), 0, torch.device("cpu"))
    prepared = {} if neighbour is None else {NEIGHBOUR: neighbour}
    return Forward(policy, batch, batch.weights["distance"] != 0, prepared=prepared, keeps_layers=True)


def distance_by_hand(policy: Policy, other: Policy, first: int, last: int) -> float:
    """Over layers, learnt tokens and coordinates, one row at a time."""
    squares: list[list[float]] = []
    with torch.no_grad():
        for row in OURS:
            own, theirs = (
                p.model.base_model(input_ids=row.tokens[None], use_cache=False, output_hidden_states=True).hidden_states
                for p in (policy, other)
            )
            for t in (row.origin == int(Origin.GIVEN)).nonzero()[:, 0].tolist():
                squares.append(
                    [float((theirs[k][0, t] - own[k][0, t]).square().mean()) for k in range(first, last + 1)]
                )
    return sum(sum(row) / len(row) for row in squares) / len(squares)


@ARCHITECTURES
@pytest.mark.parametrize(("first", "last"), [(0, None), (1, 2), (4, 4), (0, 0)])
def test_the_distance_is_the_mean_square_over_layers_tokens_and_coordinates(
    architecture: str, first: int, last: int | None
) -> None:
    policy = deep_policy(architecture)
    neighbour = AscentInWeights(3.0)(BATCH, policy, 1000)
    view = forward(policy, neighbour)
    values = (StateDistance(first, last)(view, view.batch) * view.batch.weights["distance"]).sum()
    expected = distance_by_hand(policy, moved(policy, neighbour), first, 4 if last is None else last)
    assert expected > 0
    assert float(values.detach()) == pytest.approx(expected, rel=GRADIENT)


def test_only_the_neighbours_states_have_a_gradient_and_it_is_taken_there() -> None:
    """At the moved weights, with the model's own states and the step as constants."""
    policy = deep_policy("llama", layers=2)
    neighbour = AscentInWeights(3.0)(BATCH, policy, 1000)
    view = forward(policy, neighbour)
    (StateDistance()(view, view.batch) * view.batch.weights["distance"]).sum().backward()
    other = moved(policy, neighbour)
    there, targets = forward(other), [states.detach() for states in view.layers]
    squares = torch.stack([(a - b).square().mean(-1) for a, b in zip(there.layers, targets)]).mean(0)
    (squares * there.batch.weights["distance"]).sum().backward()
    theirs = other.named_trainable()
    for name, parameter in policy.named_trainable().items():
        if name == "lm_head.weight":  # no layer reads it
            assert parameter.grad is None
            continue
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=GRADIENT, atol=GRADIENT)


@pytest.mark.parametrize("part", [AscentInWeights(), AscentInStates(), RandomInWeights()], ids=str)
@pytest.mark.parametrize("budget", [12, 1], ids=["2 x 1", "1 x 1"])
def test_no_cut_changes_its_gradient(part, budget: int) -> None:
    term = Term("distance", StateDistance(), GIVEN, PerToken(), 5.0, stream="answers", prepare=part)
    whole, cut = (accumulate([term], BATCH, tiny_policy(), size) for size in (1000, budget))
    assert float(whole.gradient.norm()) > 0
    assert whole.skipped == cut.skipped == 2  # the other draw costs nothing but its own pass
    torch.testing.assert_close(cut.gradient, whole.gradient, rtol=GRADIENT, atol=GRADIENT)
    assert cut.losses == pytest.approx(whole.losses, rel=GRADIENT)


def test_squares_are_taken_in_float32_whatever_the_pass_computes_in() -> None:
    plain = deep_policy("llama", layers=2)
    policy = Policy(plain.model.float(), plain.text, autocast=torch.bfloat16)
    view = forward(policy, AscentInWeights()(BATCH, policy, 1000))
    values = StateDistance()(view, view.batch)
    assert values.dtype == torch.float32
    assert bool((values[view.positions] > 0).all())


@pytest.mark.parametrize(("first", "last"), [(0, 5), (5, None)])
def test_layers_that_the_model_does_not_have_are_refused(first: int, last: int | None) -> None:
    policy = deep_policy("qwen2")
    view = forward(policy, AscentInWeights()(BATCH, policy, 1000))
    with pytest.raises(UserError, match="asks for others, choose from 0 to 4"):
        StateDistance(first, last)(view, view.batch)


@pytest.mark.parametrize(("first", "last"), [(-1, None), (2, 1)])
def test_an_empty_range_is_refused(first: int, last: int | None) -> None:
    with pytest.raises(ValueError, match="layers run from"):
        StateDistance(first, last)


def test_a_policy_that_gives_no_gradient_steps_nowhere() -> None:
    table = Policy(copy.deepcopy(tiny_policy().model), tiny_policy().text)
    with torch.no_grad():
        table.model.get_output_embeddings().weight.zero_()  # every prediction is uniform, whatever the states are
    steps = AscentInStates()(BATCH, table, 1000).steps
    assert length_of(list(steps)) == pytest.approx(0.0, abs=ROUNDING)
