"""Compositions that could only fail later are refused at once, in a sentence."""

import dataclasses
import os
from collections.abc import Sequence

import pytest

from fixtures.toy import each, toy_examples, toy_problems, toy_verify
from fixtures.training import Given
from posttrain.batching import PerGroup, PerToken
from posttrain.credit.group import Standardised
from posttrain.data.spool import Spool
from posttrain.data.subset import those
from posttrain.errors import UserError
from posttrain.heads import ValueHead
from posttrain.objectives.bradley_terry import PairedReward
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.kl import EstimatedKl, ExactKl
from posttrain.objectives.undesirable import AscentInWeights, StateDistance
from posttrain.protocols import Selection, Term
from posttrain.recipe import Recipe
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.key_tokens import KeyTokens
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.rollouts.pairs import Pairs
from posttrain.sampling import Sampling
from posttrain.selection.faults import FaultEmphasis
from posttrain.selection.quadrants import Quadrants
from posttrain.selection.top_entropy import TopEntropy
from posttrain.stage import Problems, Stage, Stream
from posttrain.types import Demonstration, Example, Origin, Progress

EXAMPLES = toy_examples(6)
REWARD = each(toy_verify)
ANSWERS = Stream("answers", EXAMPLES, OnPolicy(2), 4, REWARD, Standardised())
SOLUTIONS = Stream("solutions", EXAMPLES, Demonstrations(), 2)
SAMPLED, GIVEN = frozenset({Origin.SAMPLED}), frozenset({Origin.GIVEN})
POLICY = Term("policy", ClippedPolicy(), SAMPLED, PerToken())
LIKELIHOOD = Term("likelihood", CrossEntropy(), GIVEN, PerToken())


def stage(**changes) -> Stage:
    settings = {"name": "s", "streams": (ANSWERS,), "terms": (POLICY,), "steps": 3, "learning_rate": 0.1}
    return Stage(**{**settings, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "steps cannot be negative"),
        ({"passes_over_rollouts": 0}, "passes_over_rollouts must be at least 1"),
        ({"groups_per_update": 0}, "groups_per_update must be at least 1"),
        ({"streams": ()}, "streams with different names"),
        ({"streams": (ANSWERS, ANSWERS)}, "streams with different names"),
        ({"terms": ()}, "terms with different names"),
        ({"terms": (POLICY, POLICY)}, "terms with different names"),
        ({"streams": (SOLUTIONS,)}, "needs advantages, but no stream it reads has credit"),
        ({"terms": (Term("x", CrossEntropy(), GIVEN, PerToken(), stream="others"),)}, "reads stream 'others'"),
        ({"sampling": Sampling(temperature=0)}, "temperature above 0"),
    ],
)
def test_impossible_stages_are_refused(changes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        stage(**changes)


def test_a_frozen_policy_that_nobody_keeps_is_refused() -> None:
    class NeedsTeacher(CrossEntropy):
        needs = frozenset({"teacher_logprobs"})

    with pytest.raises(UserError, match="frozen policy 'teacher'"):
        stage(terms=(Term("x", NeedsTeacher(), SAMPLED, PerToken()),))


def test_an_objective_that_reads_a_head_needs_one() -> None:
    ranking = {
        "streams": (Stream("pairs", EXAMPLES, Pairs(), 2),),
        "terms": (Term("r", PairedReward(), GIVEN, PerGroup()),),
    }
    assert stage(**ranking, heads={"score": ValueHead()}).whole_groups
    with pytest.raises(UserError, match="term 'r' reads a head, but the stage has no head 'score'"):
        stage(**ranking)


@pytest.mark.parametrize("selection", [Quadrants(term="policy"), FaultEmphasis(term="nll"), TopEntropy("sft")])
def test_an_emphasis_in_a_term_that_is_not_there_is_refused(selection: Selection) -> None:
    made = {"streams": (SOLUTIONS,), "terms": (LIKELIHOOD,)}
    assert stage(**made, selection=dataclasses.replace(selection, term="likelihood")).terms == (LIKELIHOOD,)
    with pytest.raises(UserError, match=f"selection weighs tokens of the term '{selection.term}'.*'likelihood'"):
        stage(**made, selection=selection)


def test_an_emphasis_of_a_source_in_a_term_that_does_not_read_it_is_refused() -> None:
    calls = dataclasses.replace(SOLUTIONS, name="calls", source=KeyTokens())
    both = {"streams": (SOLUTIONS, calls)}
    assert stage(**both, terms=(LIKELIHOOD,)).terms == (LIKELIHOOD,)
    elsewhere = dataclasses.replace(LIKELIHOOD, stream="solutions")
    reader = Term("others", CrossEntropy(), GIVEN, PerToken(), stream="calls")
    for terms, there in (((elsewhere, reader), "'others'"), ((elsewhere,), "none")):
        with pytest.raises(
            UserError, match=f"source of stream 'calls' weighs tokens of the term 'likelihood'.*{there}"
        ):
            stage(**both, terms=terms)


def test_two_things_under_one_prepared_name_are_refused() -> None:
    def term(name: str, length: float) -> Term:
        part = AscentInWeights(length, stream="solutions")
        return Term(name, StateDistance(), GIVEN, PerToken(), stream="solutions", prepare=part)

    assert stage(streams=(SOLUTIONS,), terms=(term("a", 0.1), term("b", 0.1))).keeps_layers
    with pytest.raises(UserError, match="different things under the name 'neighbour'"):
        stage(streams=(SOLUTIONS,), terms=(term("a", 0.1), term("b", 0.2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stream("s", EXAMPLES, OnPolicy(2), 0), "prompts_per_step must be at least 1"),
        (lambda: Stream("s", (), OnPolicy(2), 1), "no examples"),
        (lambda: Stream("s", EXAMPLES, OnPolicy(2), 1, credit=Standardised()), "credit but no reward"),
        (lambda: Problems((), toy_verify, REWARD), "no training examples"),
        (lambda: Problems((EXAMPLES[0], EXAMPLES[0]), toy_verify, REWARD), "share an id"),
        (lambda: Recipe(()), "different names"),
        (lambda: Recipe((stage(), stage())), "different names"),
    ],
)
def test_impossible_parts_are_refused(make, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


class Counting(Sequence):
    """Examples, and how often one of them was read."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples, self.reads = examples, 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, at):
        self.reads += 1
        return self.examples[at]


def problems_of(examples: Sequence[Example]) -> Problems:
    return Problems(examples, toy_verify, REWARD)


@pytest.mark.parametrize("kept", [tuple, Spool, Counting])
def test_missing_demonstrations_are_named_wherever_examples_are_kept(kept) -> None:
    bare = Example("bare", "1=")
    several = kept([*EXAMPLES, bare, dataclasses.replace(EXAMPLES[0], id="another")])
    with pytest.raises(UserError, match="example 'bare' has no demonstration"):
        problems_of(several).need_demonstrations(least_chunks=0)
    with pytest.raises(UserError, match="example 'toy-0' has no chunks"):
        problems_of(
            kept([dataclasses.replace(EXAMPLES[0], demonstrations=(Demonstration((), "a"),))])
        ).need_demonstrations(least_chunks=1)
    problems_of(those(several, lambda example: example.id != "bare")).need_demonstrations(least_chunks=1)
    problems_of(kept(EXAMPLES)).need_demonstrations(least_chunks=1)


def test_what_is_known_since_it_was_put_away_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Spool(EXAMPLES)
    monkeypatch.setattr(os, "pread", None)
    problems_of(kept[2:]).need_demonstrations(least_chunks=1)


def test_any_sequence_is_looked_through_once_for_its_ids() -> None:
    kept = Counting(EXAMPLES)
    problems_of(kept)
    assert kept.reads == len(EXAMPLES) + 1  # the last one ends the loop
    with pytest.raises(UserError, match="share an id"):
        problems_of(Counting([*EXAMPLES, EXAMPLES[0]]))


def test_credit_of_signals_alone_needs_no_reward() -> None:
    assert Stream("s", EXAMPLES, OnPolicy(2), 1, credit=Given()).reward is None


@pytest.mark.parametrize("over", [frozenset(), frozenset({Origin.PROMPT, Origin.GIVEN})])
def test_a_term_needs_members_and_never_trains_on_the_prompt(over: frozenset[Origin]) -> None:
    with pytest.raises(ValueError, match=r"no origin|the prompt"):
        Term("x", CrossEntropy(), over, PerToken())


def test_coefficients_and_learning_rates_are_numbers_or_schedules() -> None:
    now = Progress(2, 4, seed=0)
    assert stage(learning_rate=lambda now: now.step / 10).learning_rate_at(now) == pytest.approx(0.2)
    assert stage(learning_rate=0.5).learning_rate_at(now) == pytest.approx(0.5)
    rising = Term("x", CrossEntropy(), GIVEN, PerToken(), lambda now: now.step * 3.0)
    assert rising.coefficient_at(now) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("objective", "frozen", "signals"),
    [
        (ClippedPolicy(), set(), set()),
        (EstimatedKl(), {"reference"}, {"reference_logprobs"}),
        (ExactKl(), {"reference"}, set()),
    ],
)
def test_what_objectives_need_is_provided(objective, frozen: set[str], signals: set[str]) -> None:
    made = stage(terms=(Term("x", objective, SAMPLED, PerToken()),))
    assert (made.frozen_needed, made.signals_needed) == (frozen, signals)


@pytest.mark.parametrize(
    ("changes", "several"),
    [
        ({}, False),
        ({"groups_per_update": 4}, False),
        ({"groups_per_update": 5}, False),
        ({"groups_per_update": 3}, True),
        ({"passes_over_rollouts": 2}, True),
    ],
)
def test_old_logprobs_are_needed_exactly_when_the_ratio_can_move(changes, several: bool) -> None:
    made = stage(**changes)
    assert made.several_updates is several
    assert made.signals_needed == ({"old_logprobs"} if several else set())


def test_likelihood_alone_never_needs_old_logprobs() -> None:
    assert not stage(streams=(SOLUTIONS,), terms=(LIKELIHOOD,), groups_per_update=1).signals_needed


def test_a_recipe_counts_the_steps_of_its_stages() -> None:
    assert Recipe((stage(name="a"), stage(name="b", steps=4))).total_steps == 7


def test_toy_problems_are_problems() -> None:
    assert len(toy_problems(5).examples) == 5
