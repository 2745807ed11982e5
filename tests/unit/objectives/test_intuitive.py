"""Blended contexts and weights of future losses, against numbers by hand and a plain second implementation."""

import pytest
import torch
from torch import Tensor

from fixtures.folders import deep_policy
from fixtures.models import tiny_policy
from fixtures.sequences import sequence, spell
from posttrain.batching import PerSequence, collate, weigh
from posttrain.forward import Forward
from posttrain.objectives import intuitive
from posttrain.objectives.intuitive import FutureLosses, IntuitiveLikelihood, LaterTokens, discounted_future
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.types import Origin, TrainingSequence
from tolerances import GRADIENT, MODEL, ROUNDING, VISIBLE

GIVEN = frozenset({Origin.GIVEN})
ROWS = [
    sequence([3, 9, 4, 7, 2, 0], spell("ppgggg"), uid=1),
    sequence([5, 8, 1, 6, 11, 4, 12, 9, 0], spell("pgoggggsg"), uid=2),
]


def doubles(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def all_of(losses: Tensor) -> Tensor:
    return torch.ones_like(losses, dtype=torch.bool)


@pytest.mark.parametrize("span", [1, 2, 3, 512])
def test_future_losses_by_hand(monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    monkeypatch.setattr(intuitive, "SPAN", span)
    assert discounted_future(doubles(1, 2, 4), 0.5)[0].tolist() == pytest.approx([3, 4, 4], abs=ROUNDING)
    assert discounted_future(doubles(1, 0, 0, 8), 1.0)[0].tolist() == pytest.approx([9, 8, 8, 8], abs=ROUNDING)


@pytest.mark.parametrize("span", [1, 3, 7])
def test_no_span_changes_a_discounted_sum(monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    values = torch.rand(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = discounted_future(values, 0.9)
    monkeypatch.setattr(intuitive, "SPAN", span)
    torch.testing.assert_close(discounted_future(values, 0.9), whole, rtol=0, atol=ROUNDING)


def test_weights_by_hand() -> None:
    losses = doubles(1, 2, 4)
    found = FutureLosses(0.5)(losses, all_of(losses))[0].tolist()
    assert found == pytest.approx([9 / 11, 12 / 11, 12 / 11], abs=ROUNDING)
    assert LaterTokens()(losses, all_of(losses))[0].tolist() == pytest.approx([0.5, 1.0, 1.5], abs=ROUNDING)


def test_tokens_of_others_have_no_weight_but_keep_their_place() -> None:
    """A discount runs over tokens, whoever wrote them; a count runs over those that are learnt."""
    losses, members = doubles(0, 1, 0, 2), torch.tensor([[False, True, False, True]])
    found = FutureLosses(0.5)(losses, members)[0].tolist()
    assert found == pytest.approx([0, 2 * 1.5 / 3.5, 0, 2 * 2 / 3.5], abs=ROUNDING)
    assert LaterTokens()(losses, members)[0].tolist() == pytest.approx([0, 2 / 3, 0, 4 / 3], abs=ROUNDING)


def weighed_mean(losses: Tensor, discount: float) -> Tensor:
    """The method's loss of one row whose tokens are all learnt."""
    return (FutureLosses(discount)(losses, all_of(losses)) * losses).mean()


@pytest.mark.parametrize("discount", [0.0, 0.3, 0.95, 1.0])
def test_weights_have_mean_one_and_leave_equal_losses_alone(discount: float) -> None:
    losses = torch.rand(4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    means = FutureLosses(discount)(losses, all_of(losses)).mean(1)
    torch.testing.assert_close(means, torch.ones_like(means), rtol=0, atol=ROUNDING)
    equal = torch.full((1, 9), 0.7, dtype=torch.float64)
    assert float(weighed_mean(equal, discount)) == pytest.approx(0.7, abs=ROUNDING)


@pytest.mark.parametrize("discount", [0.3, 0.95, 1.0])
def test_the_gradient_is_the_closed_form_and_homogeneous(discount: float) -> None:
    losses = torch.rand(1, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = weighed_mean(losses, discount)
    (gradient,) = torch.autograd.grad(loss, losses)
    values, mean = losses[0].detach(), float(loss.detach())
    future = [sum(discount ** (i - t) * float(values[i]) for i in range(t, 7)) for t in range(7)]
    expected = [
        (future[k] + sum(discount ** (k - t) * (float(values[t]) - mean) for t in range(k + 1))) / sum(future)
        for k in range(7)
    ]
    assert gradient[0].tolist() == pytest.approx(expected, abs=ROUNDING)
    assert float((losses * gradient).sum().detach()) == pytest.approx(mean, abs=ROUNDING)
    assert float(weighed_mean(3 * losses.detach(), discount)) == pytest.approx(3 * mean, abs=ROUNDING)


def test_no_discount_and_nearly_none_are_two_things() -> None:
    losses = doubles(1, 2, 5)
    assert float(weighed_mean(losses, 0.0)) == pytest.approx(8 / 3, abs=ROUNDING)
    assert float(weighed_mean(losses, 1e-9)) == pytest.approx(30 / 8, abs=MODEL)


def test_a_row_without_losses_has_no_gradient_and_no_nan() -> None:
    losses = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    loss = weighed_mean(losses, 0.95)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert bool(losses.grad.isfinite().all())


def weighed_rows(rows: list[TrainingSequence], objective: IntuitiveLikelihood) -> Term:
    return Term("intuitive", objective, objective.over, PerSequence())


def loss_of(policy: Policy, objective: IntuitiveLikelihood, rows: list[TrainingSequence] = ROWS) -> Tensor:
    term = weighed_rows(rows, objective)
    batch = collate(weigh(rows, [term], float), 0, torch.device("cpu"))
    weights = batch.weights[term.name]
    return (objective(Forward(policy, batch, weights != 0), batch) * weights).sum()


def contexts(policy: Policy, objective: IntuitiveLikelihood, row: TrainingSequence) -> Tensor:
    """The inputs of the pass that is scored."""
    seen: list[Tensor] = []
    hook = policy.model.base_model.register_forward_pre_hook(
        lambda module, positional, named: seen.append(named.get("inputs_embeds")), with_kwargs=True
    )
    loss_of(policy, objective, [row])
    hook.remove()
    guessing, scored = seen
    assert guessing is None
    return scored[0]


@pytest.mark.parametrize("row", ROWS, ids=["plain", "with others between"])
@pytest.mark.parametrize("blend", [0.0, 0.2, 1.0])
def test_each_learnt_token_of_the_context_is_blended_with_the_guess_at_its_place(
    row: TrainingSequence, blend: float
) -> None:
    policy = tiny_policy()
    with torch.no_grad():
        logits = policy.model(input_ids=row.tokens[None], use_cache=False).logits[0]
        table = policy.model.get_input_embeddings().weight
        expected = table[row.tokens].clone()
        for t in (row.origin == int(Origin.GIVEN)).nonzero()[:, 0].tolist():
            expected[t] = (1 - blend) * table[row.tokens[t]] + blend * table[logits[t - 1].argmax()]
        changed = expected - table[row.tokens]
    found = contexts(policy, IntuitiveLikelihood(blend), row)
    torch.testing.assert_close(found, expected[:-1], rtol=0, atol=ROUNDING)  # nothing is predicted from the last one
    assert not found.requires_grad
    assert bool(changed.any()) == (blend > 0)


def plain_loss(policy: Policy, row: TrainingSequence, blend: float, discount: float) -> Tensor:
    """One row, token by token, from the model's own logits."""
    table = policy.model.get_input_embeddings().weight.detach()
    with torch.no_grad():
        guesses = policy.model(input_ids=row.tokens[None], use_cache=False).logits[0].argmax(-1)
    learnt = (row.origin == int(Origin.GIVEN)).nonzero()[:, 0].tolist()
    inputs = table[row.tokens].clone()
    for t in learnt:
        inputs[t] = (1 - blend) * inputs[t] + blend * table[guesses[t - 1]]
    logits = policy.model(inputs_embeds=inputs[None], use_cache=False).logits[0]
    losses = {t: -torch.log_softmax(logits[t - 1], -1)[row.tokens[t]] for t in learnt}
    future = {t: sum(discount ** (i - t) * losses[i] for i in learnt if i >= t) for t in learnt}
    total = sum(future.values())
    return sum(len(learnt) * future[t] / total * losses[t] for t in learnt) / len(learnt)


@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gpt2"])
def test_value_and_gradient_are_those_of_a_plain_implementation(architecture: str) -> None:
    gradients = []
    for plain in (True, False):
        policy = deep_policy(architecture, layers=2)
        if plain:
            loss = sum(plain_loss(policy, row, 0.2, 0.95) for row in ROWS) / len(ROWS)
        else:
            loss = loss_of(policy, IntuitiveLikelihood())
        loss.backward()
        gradients.append((float(loss.detach()), [p.grad for p in policy.trainable()]))
    (value, expected), (ours, found) = gradients
    assert ours == pytest.approx(value, rel=GRADIENT)
    for a, b in zip(expected, found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(b, a, rtol=GRADIENT, atol=GRADIENT)


def test_gradients_flow_through_the_weights() -> None:
    """Detached weights are another method."""

    class Detached(FutureLosses):
        def __call__(self, losses: Tensor, members: Tensor) -> Tensor:
            return super().__call__(losses, members).detach()

    gradients = []
    for propagation in (FutureLosses(), Detached()):
        policy = tiny_policy()
        loss_of(policy, IntuitiveLikelihood(propagation=propagation)).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in policy.trainable()]))
    assert float((gradients[0] - gradients[1]).norm()) > VISIBLE


def test_a_policy_that_guesses_every_gold_token_reads_the_gold_context() -> None:
    policy, tokens = tiny_policy(), [5, 3]
    for _ in range(6):
        with torch.no_grad():
            tokens.append(int(policy.model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
    row = [sequence(tokens, spell("ppgggggg"))]
    ours, gold = (float(loss_of(policy, IntuitiveLikelihood(blend), row).detach()) for blend in (0.9, 0.0))
    assert ours == pytest.approx(gold, abs=MODEL)


def test_other_terms_do_not_change_it() -> None:
    """Another term's tokens are predicted as well; they belong neither to the context's blend nor to the weights."""
    term = weighed_rows(ROWS, IntuitiveLikelihood())
    batch = collate(weigh(ROWS, [term], float), 0, torch.device("cpu"))
    more = batch.origin != int(Origin.PROMPT)
    policy, weights = tiny_policy(), batch.weights[term.name]
    alone, beside = (
        (term.objective(Forward(policy, batch, positions), batch) * weights).sum().detach()
        for positions in (weights != 0, more)
    )
    assert int(more.sum()) > int((weights != 0).sum())
    assert float(alone) == pytest.approx(float(beside), abs=MODEL)


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_the_embeddings_learn_from_the_output_side_only(architecture: str) -> None:
    policy = deep_policy(architecture, layers=2)
    loss_of(policy, IntuitiveLikelihood()).backward()
    table = policy.model.get_input_embeddings().weight
    if architecture == "llama":
        assert table.grad is None
    else:
        assert bool(table.grad.any())
        assert table is policy.model.get_output_embeddings().weight


@pytest.mark.parametrize(
    "wrong", [lambda: IntuitiveLikelihood(1.2), lambda: IntuitiveLikelihood(-0.1), lambda: FutureLosses(1.1)]
)
def test_what_lies_outside_the_unit_interval_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        wrong()
