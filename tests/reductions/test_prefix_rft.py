"""What prefix sampling becomes at the ends of its settings."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.sequences import ragged
from fixtures.toy import each, toy_examples, toy_problems
from fixtures.training import SMALL, accumulate, gradient_of, run
from posttrain.batching import PerConstant, PerToken
from posttrain.credit.group import Centred
from posttrain.credit.hint import HintAware
from posttrain.methods import luffy, prefix_rft
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.shaped import Logarithm
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.hinted_by_token import HintedByToken
from posttrain.rollouts.hints import NoHints
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.rollouts.windows import BetaWindow
from posttrain.stage import Problems, Stage
from posttrain.stages import reinforced
from posttrain.types import Example, Origin, TrainingSequence, Verdict
from tolerances import GRADIENT, VISIBLE

WHOLE, HALF = BetaWindow(1.0, 1.0, 1.0), BetaWindow(0.5, 0.5, 0.5)
LIKE_THE_PAPER = dataclasses.replace(
    SMALL,
    prompts_per_step=8,
    groups_per_update=None,
    credit=Centred(),
    objective=ClippedPolicy(clip=Clip(dual=3.0)),
    share=PerConstant(6.0),
    kl_coefficient=0.0,
    entropy=0.0,
)
BOTH, GIVEN = frozenset({Origin.GIVEN, Origin.SAMPLED}), frozenset({Origin.GIVEN})


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def prefixed(settings=LIKE_THE_PAPER, problems: Problems | None = None, **changes) -> Stage:
    return only(prefix_rft.recipe(problems or toy_problems(), steps=3, reinforcement=settings, **changes))


def first_gradient(stage: Stage) -> Tensor:
    return gradient_of(dataclasses.replace(stage, steps=1), tiny_policy())


def trained(stage: Stage) -> dict[str, Tensor]:
    policy = tiny_policy()
    run(stage, policy)
    return weights(policy)


@pytest.mark.parametrize("masked", [0.0, 0.8])
@pytest.mark.parametrize("hint_credit", [None, HintAware(Centred())], ids=str)
def test_without_hints_it_is_reinforcement_over_as_many_answers_bit_for_bit(masked: float, hint_credit) -> None:
    settings = dataclasses.replace(LIKE_THE_PAPER, groups_per_update=4, kl_coefficient=0.001, entropy=0.001)
    plain = reinforced.stage(toy_problems(), 3, settings, Mixed((OnPolicy(2), OnPolicy(1))))
    one = trained(prefixed(settings, window=NoHints(), masked=masked, hint_credit=hint_credit))
    other, start = trained(plain), weights(tiny_policy())
    assert all(torch.equal(one[name], other[name]) for name in start)
    assert not any(torch.equal(one[name], start[name]) for name in start)


def test_with_hints_it_is_not() -> None:
    plain = reinforced.stage(toy_problems(), 1, LIKE_THE_PAPER, Mixed((OnPolicy(2), OnPolicy(1))))
    assert float((first_gradient(prefixed(window=HALF)) - first_gradient(plain)).norm()) > VISIBLE


def test_a_window_at_one_has_the_groups_of_off_policy_guidance_and_its_unshaped_gradient() -> None:
    guided = only(luffy.recipe(toy_problems(), steps=1, shaping=Logarithm(), reinforcement=LIKE_THE_PAPER))
    whole = dataclasses.replace(prefixed(window=WHOLE, masked=0.0), steps=1)
    for one, other in zip(
        *(run(stage, tiny_policy())[0].collection.rollouts for stage in (whole, guided)), strict=True
    ):
        assert torch.equal(one.tokens, other.tokens)
        assert torch.equal(one.origin, other.origin)
        assert (one.ended, one.group, one.verdict) == (other.ended, other.group, other.verdict)
    expected = first_gradient(guided)
    assert float(expected.norm()) > VISIBLE
    torch.testing.assert_close(first_gradient(whole), expected, rtol=GRADIENT, atol=GRADIENT)


def test_a_fully_masked_hint_only_conditions_what_follows() -> None:
    source = Mixed((OnPolicy(2), HintedByToken(1, HALF)))
    conditioned = reinforced.stage(toy_problems(), 1, LIKE_THE_PAPER, source)  # given tokens are in no term
    expected = first_gradient(conditioned)
    assert float(expected.norm()) > VISIBLE
    torch.testing.assert_close(
        first_gradient(prefixed(window=HALF, masked=1.0)), expected, rtol=GRADIENT, atol=GRADIENT
    )
    assert float((first_gradient(prefixed(window=HALF, masked=0.0)) - expected).norm()) > VISIBLE


def test_masking_nothing_is_the_same_as_no_mask() -> None:
    unmasked = prefixed(window=HALF, masked=0.0)
    assert unmasked.selection is None
    nothing = dataclasses.replace(unmasked, selection=dataclasses.replace(prefixed(window=HALF).selection, masked=0.0))
    assert torch.equal(first_gradient(nothing), first_gradient(unmasked))


def test_the_mask_does_not_depend_on_the_cut_into_micro_batches() -> None:
    settings = dataclasses.replace(LIKE_THE_PAPER, tokens_per_microbatch=1)
    whole, cut = first_gradient(prefixed(window=HALF)), first_gradient(prefixed(settings, window=HALF))
    torch.testing.assert_close(cut, whole, rtol=GRADIENT, atol=GRADIENT)


def constant(response: str, example: Example) -> Verdict:
    return Verdict(1.0, "all the same", True)


def test_equal_rewards_leave_no_gradient() -> None:
    problems = Problems(toy_examples(8), constant, each(constant))
    assert not bool(first_gradient(prefixed(problems=problems, window=HALF)).any())


def on_policy(advantage: float | None = None) -> list[TrainingSequence]:
    """Ragged sequences with given and sampled tokens, without old log-probabilities."""
    rows = []
    for s in ragged(8):
        advantages = s.signals["advantages"]
        known = advantages if advantage is None else torch.full_like(advantages, advantage)
        rows.append(dataclasses.replace(s, signals={"advantages": known}))
    return rows


@dataclasses.dataclass(frozen=True)
class Reinforce:
    """``-A log p``."""

    needs = frozenset({"advantages"})

    def inert(self, sequence: TrainingSequence) -> bool:
        return False

    def __call__(self, forward, batch) -> Tensor:
        return -batch.signals["advantages"] * forward.logprobs


def gradient(objective, over: frozenset[Origin], rows: list[TrainingSequence]) -> Tensor:
    return accumulate([Term("term", objective, over, PerToken())], rows, tiny_policy()).gradient


def test_on_the_first_update_the_gradient_is_that_of_the_log_probability_given_tokens_included() -> None:
    clipped = ClippedPolicy(clip=Clip(dual=3.0), origins=("given", "sampled"))
    expected = gradient(Reinforce(), BOTH, on_policy())
    torch.testing.assert_close(gradient(clipped, BOTH, on_policy()), expected, rtol=GRADIENT, atol=GRADIENT)
    assert float((gradient(ClippedPolicy(), BOTH, on_policy()) - expected).norm()) > VISIBLE


def test_with_advantage_one_a_prefix_is_supervised() -> None:
    clipped = ClippedPolicy(origins=("given", "sampled"))
    supervised = gradient(CrossEntropy(), GIVEN, on_policy())
    torch.testing.assert_close(gradient(clipped, GIVEN, on_policy(1.0)), supervised, rtol=GRADIENT, atol=GRADIENT)


def test_later_updates_compare_given_tokens_with_the_policy_before_the_step() -> None:
    settings = dataclasses.replace(LIKE_THE_PAPER, groups_per_update=4, learning_rate=1e-2)
    stage = prefixed(settings, window=HALF, masked=0.0)
    assert stage.signals_needed == {"old_logprobs"}
    clipped = trained(dataclasses.replace(stage, passes_over_rollouts=3))
    (policy,) = stage.terms
    never = dataclasses.replace(policy.objective, clip=Clip(float("inf"), float("inf")))
    unclipped = dataclasses.replace(
        stage, terms=(dataclasses.replace(policy, objective=never),), passes_over_rollouts=3
    )
    assert not torch.equal(clipped["model.norm.weight"], trained(unclipped)["model.norm.weight"])


def test_one_answer_in_every_group_continues_a_prefix_of_its_demonstration() -> None:
    (record,) = run(dataclasses.replace(prefixed(window=HALF), steps=1), tiny_policy())
    groups: dict[object, list[float]] = {}
    for rollout in record.collection.rollouts:
        groups.setdefault(rollout.group, []).append(rollout.labels["hint_fraction"])
    assert len(groups) == 8
    for fractions in groups.values():
        assert fractions[:2] == [0.0, 0.0]
        assert 0 < fractions[2] <= 0.5
