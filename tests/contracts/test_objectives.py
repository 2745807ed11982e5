"""What every objective promises."""

import dataclasses
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, with_critic, with_scorer
from fixtures.parts import objectives, prepare_of
from fixtures.sequences import ragged
from fixtures.walking import Case
from posttrain.batching import PerToken, collate, weigh
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.signals import LAYERS, WHOLE_GROUPS, computed, frozen_roles
from posttrain.types import Origin, TokenBatch, TrainingSequence
from tolerances import MODEL

OBJECTIVES = pytest.mark.parametrize("case", objectives(), ids=str)
SAMPLED = frozenset({Origin.SAMPLED})
SIGNALS = ("advantages", "old_logprobs", "reference_logprobs", "preference", "old_values", "returns")
FROM_SOURCES = frozenset({"preference"})
"""Signals that no model computes and no credit makes: sources put them on rollouts."""
OF_CREDIT = frozenset({"advantages", "returns"})


class Reading(Mapping[str, Tensor]):
    """A mapping that remembers which of its keys were read."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self.values_, self.read = values, set()

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return self.values_[name]

    def __contains__(self, name: object) -> bool:
        return name in self.values_

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


def weighed(objective, rows: list[TrainingSequence]) -> list[TrainingSequence]:
    return weigh(rows, [Term("term", objective, SAMPLED, PerToken())], lambda number: number)


def view(objective, policy: Policy, batch: TokenBatch, frozen: Mapping[str, Policy]) -> Forward:
    """What the loop would hand to the objective; what it reads of a whole minibatch is always of the same one."""
    prepare = prepare_of(objective)
    prepared = {prepare.provides: prepare(ragged(6, temperature=0.8), policy, 100)} if prepare else {}
    return Forward(policy, batch, batch.weights["term"] != 0, frozen, prepared, keeps_layers=LAYERS in objective.needs)


def evaluate(objective, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Float["b l"] values, and the gradient of the weighted sum."""
    policy = with_scorer(with_critic(tiny_policy()))
    frozen = {name: tiny_policy(seed=1).frozen_copy() for name in frozen_roles(objective.needs)}
    forward = view(objective, policy, batch, frozen)
    values = objective(forward, batch)
    (values * batch.weights["term"]).sum().backward()
    gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in policy.trainable()])
    return values.detach(), gradient


def batch_for(objective, rows: list[TrainingSequence] | None = None) -> TokenBatch:
    return collate(weighed(objective, rows or ragged(6, temperature=0.8)), 0, torch.device("cpu"))


@OBJECTIVES
def test_a_finite_number_per_token(case: Case) -> None:
    objective = case.construct()
    batch = batch_for(objective)
    values, gradient = evaluate(objective, batch)
    assert values.shape == batch.tokens.shape
    assert bool(values.isfinite().all())
    assert bool(gradient.isfinite().all())
    assert bool(gradient.any())


@OBJECTIVES
def test_signals_of_tokens_without_weight_do_not_matter(case: Case) -> None:
    objective = case.construct()
    batch = batch_for(objective)
    weight = batch.weights["term"]
    signals = {name: torch.where(weight != 0, value, value - 1.7) for name, value in batch.signals.items()}
    values, gradient = evaluate(objective, batch)
    others, other_gradient = evaluate(objective, dataclasses.replace(batch, signals=signals))
    torch.testing.assert_close(others * weight, values * weight, rtol=0, atol=MODEL)
    torch.testing.assert_close(other_gradient, gradient, rtol=0, atol=MODEL)


@OBJECTIVES
def test_tokens_after_the_last_weight_of_a_row_do_not_matter(case: Case) -> None:
    objective = case.construct()
    batch = batch_for(objective)
    weight = batch.weights["term"]
    later = weight.flip(1).cumsum(1).flip(1) == 0
    assert bool(later.any())
    values, gradient = evaluate(objective, batch)
    others, other_gradient = evaluate(objective, dataclasses.replace(batch, tokens=batch.tokens.masked_fill(later, 7)))
    torch.testing.assert_close(others * weight, values * weight, rtol=0, atol=MODEL)
    torch.testing.assert_close(other_gradient, gradient, rtol=0, atol=MODEL)


def with_advantage(row: TrainingSequence, value: float) -> TrainingSequence:
    advantages = torch.full((len(row.tokens),), value, dtype=torch.float64)
    return dataclasses.replace(row, signals={**row.signals, "advantages": advantages})


def smallest_batches(objective) -> list[list[TrainingSequence]]:
    """Single sequences, or groups where the objective needs them whole; with advantages of each sign, and with none."""
    rows = ragged(4)
    units = [rows[:2], rows[2:]] if WHOLE_GROUPS in objective.needs else [[row] for row in rows]
    return [[with_advantage(row, value) for row in unit] for unit in units for value in (-1.0, 0.0, 1.0)]


@OBJECTIVES
def test_what_it_calls_inert_has_neither_value_nor_gradient(case: Case) -> None:
    objective = case.construct()
    for rows in smallest_batches(objective):
        values, gradient = evaluate(objective, batch_for(objective, rows))
        if all(objective.inert(row) for row in rows):
            assert not bool(values.any())
            assert not bool(gradient.any())
        else:
            assert bool(values.any())


def signals_of(objective) -> set[str]:
    """The signals among its needs."""
    return {n for n in objective.needs if "/" not in n} - {LAYERS, WHOLE_GROUPS}


def provided(objective) -> set[str]:
    """The signals that a stage with several updates provides for it."""
    names = signals_of(objective)
    several = {"old_logprobs"} if "advantages" in names else set()
    assert names - OF_CREDIT - FROM_SOURCES <= computed(names)
    assert frozen_roles(names) <= {"reference"}
    return names | several


@OBJECTIVES
def test_it_reads_the_signals_that_it_declares_and_no_others(case: Case) -> None:
    objective = case.construct()
    batch = batch_for(objective)
    reading = Reading(batch.signals)
    evaluate(objective, dataclasses.replace(batch, signals=reading))
    assert signals_of(objective) <= reading.read <= provided(objective)


@OBJECTIVES
def test_it_needs_the_frozen_policies_that_it_declares_and_no_others(case: Case) -> None:
    objective = case.construct()
    declared = {n.removeprefix("policy/") for n in objective.needs if n.startswith("policy/")}
    policy, batch = tiny_policy(), batch_for(objective)
    frozen = Reading({name: tiny_policy(seed=1).frozen_copy() for name in declared})
    objective(view(objective, with_scorer(with_critic(policy)), batch, frozen), batch)
    assert frozen.read == declared


@OBJECTIVES
def test_it_is_a_frozen_value(case: Case) -> None:
    objective = case.construct()
    assert case.construct() == objective
    assert hash(case.construct()) == hash(objective)
    with pytest.raises(dataclasses.FrozenInstanceError):
        objective.anything = 1


def test_the_signals_of_the_fixtures_are_those_that_exist() -> None:
    assert set(ragged(1)[0].signals) == set(SIGNALS)
