"""Signals that a pass of a model provides."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy
from fixtures.sequences import ragged, sequence
from fixtures.training import CPU, Given, prepared_stage
from posttrain.annotate import annotate
from posttrain.batching import PerToken, collate
from posttrain.forward import Forward
from posttrain.heads import ValueHead
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.kl import EstimatedKl
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.stage import Stage
from posttrain.types import Origin, TrainingSequence
from tolerances import FLOAT32_RECORD, MODEL

BOTH = frozenset({"old_logprobs", "reference_logprobs"})


def bare(temperature: float = 0.7) -> list[TrainingSequence]:
    """Ragged sequences with advantages only."""
    return [
        sequence(s.tokens.tolist(), s.origin.tolist(), uid=s.uid, temperature=temperature, advantages=1.0)
        for s in ragged(6)
    ]


def direct(policy: Policy, row: TrainingSequence) -> Tensor:
    batch = collate([row], 0, CPU.device)
    positions = batch.origin != int(Origin.PROMPT)
    positions[:, 0] = False
    with torch.no_grad():
        return Forward(policy, batch, positions).logprobs[0]


def stage_with(*terms: Term, budget: int = 1000, **settings: object) -> Stage:
    return prepared_stage([(), ()], terms, credit=Given(), tokens_per_microbatch=budget, **settings)


@dataclasses.dataclass(frozen=True)
class Reading:
    """A selection that keeps everything."""

    needs: frozenset[str]
    emphasises = frozenset[str]()


SAMPLED = frozenset({Origin.SAMPLED})
POLICY = Term("policy", ClippedPolicy(), SAMPLED, PerToken())
NEAR = Term("near the reference", EstimatedKl(), SAMPLED, PerToken())


@pytest.mark.parametrize("budget", [1, 40, 1000])
def test_each_signal_is_its_policys_logprobs_at_the_sampling_temperature(policy: Policy, budget: int) -> None:
    frozen = tiny_policy(seed=1)
    rows = bare()
    stage = stage_with(POLICY, NEAR, budget=budget, groups_per_update=1)
    annotated = annotate(rows, policy, {"reference": frozen}, stage)
    assert policy.tokens_passed == frozen.tokens_passed == sum(len(row.tokens) for row in rows)
    for row, with_signals in zip(rows, annotated, strict=True):
        assert with_signals.uid == row.uid
        assert set(with_signals.signals) == {"advantages", *BOTH}
        torch.testing.assert_close(with_signals.signals["old_logprobs"], direct(policy, row), rtol=0, atol=MODEL)
        torch.testing.assert_close(with_signals.signals["reference_logprobs"], direct(frozen, row), rtol=0, atol=MODEL)


@dataclasses.dataclass(frozen=True)
class OfSignals:
    """Credit that reads what the policy says of its own tokens."""

    needs: frozenset[str] = frozenset({"old_logprobs", "old_entropy", "old_values"})
    compares = False
    reads_rewards = False
    provides = frozenset({"advantages"})

    def __call__(self, sequences):
        return [{"advantages": sum(s.signals[name] for name in sorted(self.needs))} for s in sequences]


@pytest.mark.parametrize("budget", [1, 1000])
def test_a_model_passes_once_whatever_is_asked_of_it(policy: Policy, budget: int) -> None:
    critic = ValueHead().start(policy.width, policy.device)
    torch.nn.init.normal_(critic.weight, generator=torch.Generator().manual_seed(0))
    policy.heads = {"value": critic}
    rows = [dataclasses.replace(row, signals={}) for row in bare()]
    stage = prepared_stage(
        [(), ()],
        [POLICY],
        credit=OfSignals(),
        heads={"value": ValueHead()},
        groups_per_update=1,
        tokens_per_microbatch=budget,
    )
    annotated = annotate(rows, policy, {}, stage)
    assert policy.tokens_passed == sum(len(row.tokens) for row in rows)
    for row, known in zip(rows, annotated, strict=True):
        batch = collate([row], 0, CPU.device)
        positions = batch.origin != int(Origin.PROMPT)
        positions[:, 0] = False
        with torch.no_grad():
            view = Forward(policy, batch, positions)
            expected = {"old_logprobs": view.logprobs, "old_entropy": view.entropy, "old_values": view.values}
        assert set(known.signals) == {"advantages", *expected}
        for name, value in expected.items():
            torch.testing.assert_close(known.signals[name], value[0], rtol=FLOAT32_RECORD, atol=FLOAT32_RECORD)
        torch.testing.assert_close(known.signals["advantages"], sum(known.signals[name] for name in sorted(expected)))


def test_before_credit_of_signals_has_spoken_nothing_is_inert(policy: Policy) -> None:
    carried = [dataclasses.replace(row, signals={"preference": torch.zeros(len(row.tokens))}) for row in bare()]
    stage = prepared_stage([(), ()], [POLICY], credit=OfSignals(frozenset({"preference"})), groups_per_update=1)
    annotated = annotate(carried, policy, {}, stage)
    assert all({"advantages", "old_logprobs"} <= set(row.signals) for row in annotated)


def test_a_signal_carries_no_gradient(policy: Policy) -> None:
    first, *_ = annotate(bare(), policy, {}, stage_with(POLICY, groups_per_update=1))
    assert not first.signals["old_logprobs"].requires_grad


def test_nothing_needed_is_nothing_done(policy: Policy) -> None:
    annotated = annotate(bare(), policy, {}, stage_with(POLICY))
    assert policy.tokens_passed == 0
    assert all(set(row.signals) == {"advantages"} for row in annotated)


def test_a_sequence_that_every_reader_ignores_passes_no_model(policy: Policy) -> None:
    rows = bare()
    still = [dataclasses.replace(r, signals={"advantages": torch.zeros(len(r.tokens))}) for r in rows[:2]]
    stage = stage_with(POLICY, groups_per_update=1)
    annotated = annotate([*still, *rows[2:]], policy, {}, stage)
    assert policy.tokens_passed == sum(len(row.tokens) for row in rows[2:])
    assert [set(a.signals) for a in annotated[:3]] == [{"advantages"}, {"advantages"}, {"advantages", "old_logprobs"}]
    reference = tiny_policy()
    annotate([*still, *rows[2:]], policy, {"reference": reference}, stage_with(POLICY, NEAR))
    assert reference.tokens_passed == sum(len(row.tokens) for row in rows)


def test_signals_of_one_model_are_one_pass_of_it(policy: Policy) -> None:
    rows, needs = bare(), frozenset({"old_logprobs", "old_entropy"})
    annotated = annotate(rows, policy, {}, stage_with(POLICY, selection=Reading(needs)))
    assert policy.tokens_passed == sum(len(row.tokens) for row in rows)
    for row, with_signals in zip(rows, annotated, strict=True):
        assert set(with_signals.signals) == {"advantages", *needs}
        torch.testing.assert_close(with_signals.signals["old_logprobs"], direct(policy, row), rtol=0, atol=MODEL)
        assert bool((with_signals.signals["old_entropy"][row.origin != Origin.PROMPT] > 0).all())


def test_in_a_shared_pass_a_sequence_gets_the_signals_that_are_read_of_it(policy: Policy) -> None:
    rows = bare()
    still = [dataclasses.replace(r, signals={"advantages": torch.zeros(len(r.tokens))}) for r in rows[:2]]
    stage = stage_with(POLICY, selection=Reading(frozenset({"old_entropy"})), groups_per_update=1)
    annotated = annotate([*still, *rows[2:]], policy, {}, stage)
    assert policy.tokens_passed == sum(len(row.tokens) for row in rows)
    assert [set(a.signals) - {"advantages"} for a in annotated[1:3]] == [
        {"old_entropy"},
        {"old_entropy", "old_logprobs"},
    ]
