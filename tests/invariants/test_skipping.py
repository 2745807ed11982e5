"""Sequences that cannot teach anything are not sent through the model, and nothing but time changes."""

import dataclasses

import pytest
import torch

from fixtures.models import tiny_policy
from fixtures.parts import objectives, prepare_of, shares
from fixtures.sequences import ragged
from fixtures.toy import each, toy_problems
from fixtures.training import SMALL, accumulate, run
from fixtures.walking import Case
from posttrain import loop
from posttrain.methods import rft
from posttrain.protocols import Term
from posttrain.stage import Problems
from posttrain.types import Example, Origin, TrainingSequence, Verdict
from tolerances import GRADIENT

SAMPLED = frozenset({Origin.SAMPLED})


def rows() -> list[TrainingSequence]:
    """Every second group has no advantage."""
    made = ragged(8)
    return [
        dataclasses.replace(s, signals={**s.signals, "advantages": s.signals["advantages"] * (s.uid // 2 % 2)})
        for s in made
    ]


@pytest.mark.parametrize("objective", objectives(), ids=str)
@pytest.mark.parametrize("share", shares(), ids=str)
def test_with_and_without_skipping(monkeypatch: pytest.MonkeyPatch, objective: Case, share: Case) -> None:
    made = objective.construct()
    terms = [Term("term", made, SAMPLED, share.construct(), prepare=prepare_of(made))]
    skipped = accumulate(terms, rows(), tiny_policy())
    monkeypatch.setattr(loop, "_inert", lambda *ignored: False)
    everything = accumulate(terms, rows(), tiny_policy())
    assert everything.skipped == 0
    assert skipped.skipped == (4 if "advantages" in objective.construct().needs else 0)
    torch.testing.assert_close(skipped.gradient, everything.gradient, rtol=GRADIENT, atol=GRADIENT)
    assert skipped.losses == pytest.approx(everything.losses, rel=GRADIENT, abs=GRADIENT)


def sometimes(response: str, example: Example) -> Verdict:
    """Two of three examples are hopeless."""
    hopeless = int(example.id.removeprefix("toy-")) % 3
    return Verdict(0.0 if hopeless else float("a" in response), "", True)


def test_a_run_with_hopeless_examples_spends_less_and_reports_it() -> None:
    problems = Problems(toy_problems(9).examples, sometimes, each(sometimes))
    settings = dataclasses.replace(SMALL, prompts_per_step=9, kl_coefficient=0.0, entropy=0.0, groups_per_update=None)
    (record,) = run(rft.recipe(problems, steps=1, reinforcement=settings).stages[0], tiny_policy())
    assert 18 <= record.skipped < 27
    assert len(record.collection.sequences) == 27


@pytest.mark.parametrize("term", ["kl_coefficient", "entropy"])
def test_a_penalty_on_every_token_leaves_nothing_to_skip(term: str) -> None:
    problems = Problems(toy_problems(9).examples, sometimes, each(sometimes))
    settings = dataclasses.replace(SMALL, **{"kl_coefficient": 0.0, "entropy": 0.0, term: 0.1})
    (record,) = run(rft.recipe(problems, steps=1, reinforcement=settings).stages[0], tiny_policy())
    assert record.skipped == 0
