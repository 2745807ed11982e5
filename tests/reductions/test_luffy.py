"""What off-policy guidance becomes at the ends of its settings."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.sequences import ragged
from fixtures.stated import Stated, row, stated_batch
from fixtures.toy import each, toy_examples, toy_problems
from fixtures.training import SMALL, accumulate, gradient_of, recitation, run
from posttrain.batching import PerConstant, PerToken, weigh
from posttrain.collect import collect
from posttrain.credit.group import Centred
from posttrain.methods import luffy
from posttrain.objectives.clipped import Clip, ClippedPolicy
from posttrain.objectives.shaped import Logarithm, Power, Saturating, ShapedPolicy
from posttrain.protocols import Term
from posttrain.recipe import Recipe
from posttrain.rollouts.mixed import Mixed
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.stage import Problems, Stage
from posttrain.stages import reinforced, supervised
from posttrain.stages.supervised import Supervision
from posttrain.text import Text
from posttrain.types import Example, Origin, Progress, TrainingSequence, Verdict
from tolerances import GRADIENT, MODEL, ROUNDING, VISIBLE

INFINITE = float("inf")
LIKE_THE_PAPER = dataclasses.replace(
    SMALL,
    prompts_per_step=8,
    groups_per_update=None,
    credit=Centred(),
    objective=ClippedPolicy(clip=Clip(INFINITE, INFINITE)),
    share=PerConstant(6.0),
    kl_coefficient=0.0,
    entropy=0.0,
)
BOTH = frozenset({Origin.GIVEN, Origin.SAMPLED})


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def guided(settings=LIKE_THE_PAPER, problems: Problems | None = None, **changes) -> Stage:
    return only(luffy.recipe(problems or toy_problems(), steps=3, reinforcement=settings, **changes))


def from_source(stage: Stage, source) -> Stage:
    (stream,) = stage.streams
    return dataclasses.replace(stage, streams=(dataclasses.replace(stream, source=source),))


def first_gradient(stage: Stage) -> Tensor:
    return gradient_of(dataclasses.replace(stage, steps=1), tiny_policy())


def trained(stage: Stage) -> dict[str, Tensor]:
    policy = tiny_policy()
    run(stage, policy)
    return weights(policy)


@pytest.mark.parametrize("objective", [ClippedPolicy(), ClippedPolicy(clip=Clip(INFINITE, INFINITE))], ids=str)
def test_without_a_demonstration_it_is_reinforcement_bit_for_bit(objective: ClippedPolicy) -> None:
    settings = dataclasses.replace(LIKE_THE_PAPER, objective=objective, groups_per_update=4)
    source = Mixed((OnPolicy(2),))
    one = trained(from_source(guided(settings), source))
    other, start = trained(reinforced.stage(toy_problems(), 3, settings, source)), weights(tiny_policy())
    assert all(torch.equal(one[name], other[name]) for name in start)
    assert not any(torch.equal(one[name], start[name]) for name in start)


def always(response: str, example: Example) -> Verdict:
    return Verdict(1.0, "all right", True)


def recited(response: str, example: Example) -> Verdict:
    right = response == example.demonstrations[0].text
    return Verdict(float(right), "the demonstration" if right else "something else", True)


def test_where_everything_is_right_there_is_no_gradient() -> None:
    problems = Problems(toy_examples(8), always, each(always))
    assert not bool(first_gradient(guided(problems=problems)).any())


def test_the_only_right_answer_of_eight_has_seven_eighths(text: Text) -> None:
    problems = Problems(toy_examples(8), recited, each(recited))
    stage = guided(dataclasses.replace(LIKE_THE_PAPER, rollouts_per_prompt=8), problems)
    sequences = collect(stage, recitation(text), text, Progress(0, 1, seed=0)).sequences
    assert len(sequences) == 64
    for s, signals in zip(sequences, stage.streams[0].credit(sequences), strict=True):
        demonstrated = s.rollout.ended == "given"
        assert s.rollout.reward == float(demonstrated)
        assert set(signals["advantages"].tolist()) == {7 / 8 if demonstrated else -1 / 8}


@pytest.mark.parametrize("share", [PerConstant(6.0), PerToken()], ids=str)
def test_given_and_sampled_tokens_share_one_denominator(share, text: Text) -> None:
    stage = guided(dataclasses.replace(LIKE_THE_PAPER, share=share))
    sequences = collect(stage, recitation(text), text, Progress(0, 1, seed=0)).sequences
    weight = torch.cat([s.weights["policy"] for s in weigh(sequences, stage.terms, float)])
    origin = torch.cat([s.origin for s in sequences])
    of_given, of_sampled = (set(weight[origin == int(o)].tolist()) for o in (Origin.GIVEN, Origin.SAMPLED))
    assert of_given == of_sampled
    assert len(of_given) == 1
    assert not bool(weight[origin == int(Origin.PROMPT)].any())


def rows(advantage: float | None = None) -> list[TrainingSequence]:
    out = []
    for s in ragged(8):
        advantages = s.signals["advantages"]
        known = advantages if advantage is None else torch.full_like(advantages, advantage)
        out.append(dataclasses.replace(s, signals={"advantages": known}))
    return out


def gradient(objective, over: frozenset[Origin], made: list[TrainingSequence], coefficient: float = 1.0) -> Tensor:
    return accumulate([Term("term", objective, over, PerToken(), coefficient)], made, tiny_policy()).gradient


def test_a_logarithm_with_advantage_one_is_supervision() -> None:
    problems = toy_problems()
    stage = guided(shaping=Logarithm())
    (term,), (stream,) = stage.terms, stage.streams
    demonstrations = dataclasses.replace(stream, source=stream.source.sources[1], credit=Ones())
    alone = dataclasses.replace(stage, streams=(demonstrations,), terms=(dataclasses.replace(term, share=PerToken()),))
    imitated = supervised.stage(problems, 1, Supervision(prompts_per_step=8, warmup=0.0))
    expected = gradient_of(imitated, tiny_policy())
    assert float(expected.norm()) > VISIBLE
    torch.testing.assert_close(first_gradient(alone), expected, rtol=GRADIENT, atol=GRADIENT)


class Ones:
    """Credit that is 1 for everybody."""

    compares = False
    reads_rewards = False
    needs = frozenset[str]()
    provides = frozenset({"advantages"})

    def __call__(self, sequences):
        return [{"advantages": torch.ones(len(s.tokens), dtype=torch.float64)} for s in sequences]


def test_a_large_gamma_scaled_by_itself_is_no_shaping() -> None:
    gamma = 1e9
    unshaped = gradient(ShapedPolicy(Power()), frozenset({Origin.GIVEN}), rows())
    shaped = gradient(ShapedPolicy(Saturating(gamma)), frozenset({Origin.GIVEN}), rows(), gamma)
    assert float(unshaped.norm()) > VISIBLE
    torch.testing.assert_close(shaped, unshaped, rtol=GRADIENT, atol=GRADIENT)
    usual = gradient(ShapedPolicy(), frozenset({Origin.GIVEN}), rows())
    assert float((usual - unshaped).norm()) > VISIBLE


def test_without_shaping_it_is_the_likelihood_weighted_by_the_probability() -> None:
    """Dynamic fine-tuning's gradient, ``-p grad log p``, times the advantage."""
    logprobs = row(0.0, -1.0, -2.0, -3.0)
    batch = stated_batch([Origin.PROMPT, Origin.GIVEN, Origin.GIVEN, Origin.GIVEN], advantages=[2.0] * 4)
    ShapedPolicy(Power())(Stated(logprobs), batch).sum().backward()
    assert logprobs.grad[0, 1:].tolist() == pytest.approx(
        (-2.0 * logprobs.detach()[0, 1:].exp()).tolist(), abs=ROUNDING
    )


def test_the_advantage_of_a_shaped_token_is_not_lost_on_the_sampled_ones() -> None:
    """Both parts of the one term together are the sum of the parts."""
    made = rows()
    members = {o: sum(int((s.origin == int(o)).sum()) for s in made) for o in BOTH}
    total = sum(members.values())
    parts = sum(gradient(ShapedPolicy(), frozenset({o}), made, members[o] / total) for o in BOTH)
    torch.testing.assert_close(gradient(ShapedPolicy(), BOTH, made), parts, rtol=GRADIENT, atol=MODEL)
