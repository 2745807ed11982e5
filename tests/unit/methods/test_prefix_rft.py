"""Settings of prefix sampling: defaults of the paper, and what is refused."""

import dataclasses

import pytest

from fixtures.toy import toy_problems
from fixtures.training import SMALL
from posttrain.batching import PerConstant
from posttrain.credit.group import Centred
from posttrain.credit.hint import HintAware
from posttrain.errors import UserError
from posttrain.methods import prefix_rft
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.rollouts.hinted_by_token import HintedByToken
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.rollouts.windows import BetaWindow
from posttrain.selection.top_entropy import TopEntropy
from posttrain.types import Origin


def stage(**changes):
    (made,) = prefix_rft.recipe(toy_problems(), **changes).stages
    return made


def test_it_has_the_defaults_of_its_sources() -> None:
    made = stage()
    policy, entropy = made.terms
    (stream,) = made.streams
    assert stream.source == Mixed((OnPolicy(7), HintedByToken(1, BetaWindow(0.95, 0.95, 0.05))))
    assert (stream.prompts_per_step, stream.credit) == (128, Centred())
    assert policy.objective == ClippedPolicy(clip=Clip(0.2, 0.2, 3.0), origins=("given", "sampled"))
    assert policy.over == {Origin.GIVEN, Origin.SAMPLED}
    assert (entropy.name, entropy.coefficient, entropy.over) == ("entropy", 0.001, {Origin.SAMPLED})
    assert {term.share for term in made.terms} == {PerConstant(8192)}
    assert made.selection == TopEntropy("policy", 0.8, "collection")
    assert (made.steps, made.learning_rate, made.groups_per_update) == (500, 1e-6, 64)
    assert (made.sampling.temperature, made.sampling.max_new_tokens) == (1.0, 8192)
    assert (made.optimiser.clip_norm, made.optimiser.weight_decay) == (1.0, 0.01)
    assert not made.frozen_needed
    assert made.signals_needed == {"old_entropy", "old_logprobs"}


def test_the_objective_of_the_settings_is_kept_but_for_whose_tokens_it_reads() -> None:
    made = stage(reinforcement=dataclasses.replace(SMALL, objective=ClippedPolicy(clip=Clip(0.1, 0.3))))
    assert made.terms[0].objective == ClippedPolicy(clip=Clip(0.1, 0.3), origins=("given", "sampled"))


def test_several_hints_are_drawn_apart() -> None:
    settings = dataclasses.replace(SMALL, rollouts_per_prompt=5)
    hinted = HintedByToken(1, BetaWindow())
    source = stage(hints_per_prompt=2, reinforcement=settings).streams[0].source
    assert source == Mixed((OnPolicy(3), hinted, hinted))


def test_a_prefix_may_be_credited_apart() -> None:
    credit = HintAware(Centred())
    assert stage(hint_credit=credit).streams[0].credit == credit


@pytest.mark.parametrize("hints", [0, 3, 4])
def test_a_group_needs_answers_with_and_without_a_hint(hints: int) -> None:
    with pytest.raises(UserError, match="at least one of 3 answers from scratch"):
        stage(hints_per_prompt=hints, reinforcement=SMALL)


def test_a_missing_demonstration_is_refused() -> None:
    problems = toy_problems()
    first = dataclasses.replace(problems.examples[0], demonstrations=())
    problems = dataclasses.replace(problems, examples=(first, *problems.examples[1:]))
    with pytest.raises(UserError, match="'toy-0' has no demonstration"):
        prefix_rft.recipe(problems)
