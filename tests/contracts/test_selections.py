"""What every selection promises."""

import dataclasses
from pathlib import Path

import pytest
import torch

from fixtures.models import tiny_policy, weights
from fixtures.parts import selections
from fixtures.sequences import collected
from fixtures.toy import faulty_examples
from fixtures.training import SMALL_SUPERVISION, prepared_stage, run
from fixtures.walking import Case
from posttrain.annotate import annotate
from posttrain.batching import PerToken
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.policy import Policy
from posttrain.protocols import SelectionSession, Term
from posttrain.rollouts.contrasts import Contrasts
from posttrain.signals import role_and_quantity
from posttrain.stage import Problems
from posttrain.stages import supervised
from posttrain.text import Text
from posttrain.types import Origin, Progress, TrainingSequence

EVERY = selections()
SELECTIONS = pytest.mark.parametrize("case", EVERY, ids=str)
STEPS = 4
LIKELIHOOD = Term("likelihood", CrossEntropy(), frozenset({Origin.GIVEN}), PerToken("weights"))


def at(step: int) -> Progress:
    return Progress(step, STEPS, seed=0, scope=("stage",))


def candidates(case: Case, policy: Policy, text: Text, step: int = 0) -> list[TrainingSequence]:
    """Demonstrations and faulty variants of some of them, with every signal that the selection reads."""
    rows = collected(Contrasts(), faulty_examples(16)[5 * step : 5 * step + 10], text)
    stage = prepared_stage([()], [LIKELIHOOD], selection=case.construct())
    return annotate(rows, policy, {}, stage)


def keys(sequences: list[TrainingSequence]) -> list[tuple[int, dict[str, list[float]]]]:
    emphasis = [{n: s.signals[n].tolist() for n in s.signals if n.startswith("emphasis/")} for s in sequences]
    return [(s.uid, e) for s, e in zip(sequences, emphasis)]


def chosen_over_time(session: SelectionSession, case: Case, policy: Policy, text: Text, steps: range) -> list[object]:
    return [keys(session(candidates(case, policy, text, step), policy, at(step))) for step in steps]


@SELECTIONS
def test_it_chooses_some_in_their_order_and_adds_nothing_but_emphasis(case: Case, policy: Policy, text: Text) -> None:
    rows = candidates(case, policy, text)
    chosen = case.construct().start(0)(rows, policy, at(0))
    by_uid = {s.uid: s for s in rows}
    assert chosen
    assert [s.uid for s in chosen] == sorted({s.uid for s in chosen})
    for s in chosen:
        added = {name: s.signals[name] for name in set(s.signals) - set(by_uid[s.uid].signals)}
        assert set(added) <= {f"emphasis/{term}" for term in case.construct().emphasises}
        assert all(bool((value >= 0).all()) and value.shape == s.tokens.shape for value in added.values())
        before = by_uid[s.uid].signals
        assert dataclasses.replace(s, signals=before).__dict__ == by_uid[s.uid].__dict__
        assert all(torch.equal(s.signals[name], before[name]) for name in before)


@SELECTIONS
def test_it_chooses_the_same_again_and_after_a_checkpoint(
    case: Case, policy: Policy, text: Text, tmp_path: Path
) -> None:
    selection = case.construct()
    whole = selection.start(3)
    expected = chosen_over_time(whole, case, policy, text, range(3))
    first = selection.start(3)
    assert chosen_over_time(first, case, policy, text, range(2)) == expected[:2]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = selection.start(3)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert chosen_over_time(second, case, policy, text, range(2, 3)) == expected[2:]


@SELECTIONS
def test_torchs_own_randomness_neither_matters_nor_moves(case: Case, policy: Policy, text: Text) -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(chosen_over_time(case.construct().start(0), case, policy, text, range(2)))
        assert torch.equal(before, torch.get_rng_state())
    assert found[0] == found[1]


@SELECTIONS
def test_it_leaves_the_policy_as_it_was(case: Case, policy: Policy, text: Text) -> None:
    before = weights(policy)
    case.construct().start(0)(candidates(case, policy, text), policy, at(2))
    assert all(torch.equal(before[name], value) for name, value in weights(policy).items())
    assert all(p.grad is None for p in policy.model.parameters())


@SELECTIONS
def test_of_nothing_it_chooses_nothing(case: Case, policy: Policy) -> None:
    assert case.construct().start(0)([], policy, at(0)) == []


@SELECTIONS
def test_it_needs_signals_that_models_compute(case: Case) -> None:
    assert all(role_and_quantity(name) is not None for name in case.construct().needs)


@SELECTIONS
def test_it_is_a_frozen_value(case: Case) -> None:
    selection = case.construct()
    assert case.construct() == selection
    assert hash(case.construct()) == hash(selection)
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.anything = 1


@SELECTIONS
def test_the_loop_trains_on_what_it_chooses(case: Case, text: Text) -> None:
    examples = faulty_examples(12)
    plain = supervised.stage(Problems(examples, None, None), 2, SMALL_SUPERVISION)
    stream = dataclasses.replace(plain.streams[0], source=Contrasts())
    policy = tiny_policy()
    records = run(dataclasses.replace(plain, streams=(stream,), selection=case.construct()), policy)
    assert [record.losses["likelihood"] > 0 for record in records] == [True, True]
    assert not torch.equal(
        weights(policy)["model.embed_tokens.weight"], weights(tiny_policy())["model.embed_tokens.weight"]
    )
