"""What every selection promises."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.parts import selections
from fixtures.sequences import judged, ragged
from fixtures.walking import Case
from posttrain.signals import role_and_quantity
from posttrain.types import Progress, TrainingSequence

SELECTIONS = pytest.mark.parametrize("case", selections(), ids=str)
NOW = Progress(1, 10, seed=0, scope=("stage",))


def annotated(needs: frozenset[str], seed: int = 0) -> list[TrainingSequence]:
    """Judged sequences with every signal that the selection reads."""
    noise = torch.Generator().manual_seed(seed)
    made = []
    for row in ragged(8, seed=seed):
        known = {name: torch.rand(len(row.tokens), generator=noise) for name in sorted(needs)}
        rollout = judged(row.rollout, float(row.uid % 3 == 0))
        made.append(dataclasses.replace(row, rollout=rollout, signals={**row.signals, **known}))
    return made


def emphases(chosen: list[TrainingSequence]) -> dict[int, dict[str, list[float]]]:
    return {s.uid: {n: v.tolist() for n, v in s.signals.items() if n.startswith("emphasis/")} for s in chosen}


@SELECTIONS
def test_it_needs_signals_that_models_compute(case: Case) -> None:
    assert all(role_and_quantity(name) is not None for name in case.construct().needs)


@SELECTIONS
def test_it_takes_a_part_in_order_and_adds_nothing_but_emphases(case: Case) -> None:
    selection, policy = case.construct(), tiny_policy()
    before, rows = weights(policy), annotated(selection.needs)
    by_uid = {row.uid: row for row in rows}
    chosen = selection.start(seed=0)(rows, policy, NOW)
    assert [s.uid for s in chosen] == [row.uid for row in rows if row.uid in {s.uid for s in chosen}]
    for s in chosen:
        known = by_uid[s.uid]
        added = set(s.signals) - set(known.signals)
        assert all(name.startswith("emphasis/") for name in added)
        assert all(s.signals[name].shape == s.tokens.shape for name in added)
        assert all(bool((s.signals[name] >= 0).all() & s.signals[name].isfinite().all()) for name in added)
        assert all(s.signals[name] is value for name, value in known.signals.items())
        assert dataclasses.replace(s, signals=known.signals).__dict__ == known.__dict__
    assert all(torch.equal(value, before[name]) for name, value in weights(policy).items())
    assert all(p.grad is None for p in policy.trainable())


@SELECTIONS
def test_a_restored_session_goes_on_as_the_first_one_would_have(case: Case) -> None:
    selection, policy = case.construct(), tiny_policy()
    first, later = annotated(selection.needs), annotated(selection.needs, seed=1)
    whole, cut, resumed = (selection.start(seed=0) for _ in range(3))
    for session in (whole, cut):
        session(first, policy, NOW)
    resumed.load_state_dict(cut.state_dict())
    after = dataclasses.replace(NOW, step=2)
    assert emphases(resumed(later, policy, after)) == emphases(whole(later, policy, after))


@SELECTIONS
def test_nothing_is_taken_from_nothing(case: Case) -> None:
    assert case.construct().start(seed=0)([], tiny_policy(), NOW) == []
