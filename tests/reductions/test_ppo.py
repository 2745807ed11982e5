"""What PPO becomes when its critic or its penalty is turned off, and what both amount to on average."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.sequences import judged, sequence, spell
from fixtures.toy import each, toy_problems
from fixtures.training import SMALL, SMALL_ACTOR_CRITIC, gradient_of, run
from posttrain.credit.compared import Compared
from posttrain.credit.gae import Gae
from posttrain.credit.group import Centred, LeaveOneOut, Standardised
from posttrain.credit.token_rewards import KlPenalty, Outcome
from posttrain.methods import ppo, rft
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.recipe import Recipe
from posttrain.rollouts.hinted import Hinted
from posttrain.rollouts.hints import NoHints, UniformHints
from posttrain.stage import Problems, Stage, Stream
from posttrain.stages import proximal
from posttrain.types import Example, Origin, TrainingSequence, Verdict
from tolerances import GRADIENT, ROUNDING, VISIBLE

ONCE = dataclasses.replace(SMALL_ACTOR_CRITIC, passes_over_rollouts=1)
ONE_UPDATE = dataclasses.replace(ONCE, groups_per_update=None)
FREE = KlPenalty(0.0)
RAW = Gae(penalty=FREE, lam=1.0, whitening=None)


def only(recipe: Recipe) -> Stage:
    (stage,) = recipe.stages
    return stage


def trained(stage: Stage) -> dict[str, Tensor]:
    policy = tiny_policy()
    run(stage, policy)
    return weights(policy)


def bit_equal(one: Stage, other: Stage) -> None:
    first, second, start = trained(one), trained(other), weights(tiny_policy())
    assert all(torch.equal(first[name], second[name]) for name in start)
    assert not any(torch.equal(first[name], start[name]) for name in start)


@pytest.mark.parametrize("credit", [Standardised(), Centred(), LeaveOneOut()], ids=str)
def test_with_a_group_for_a_critic_it_is_reinforcement_bit_for_bit(credit) -> None:
    per_token = dataclasses.replace(ONCE, share=SMALL.share)
    plain = dataclasses.replace(SMALL, kl_coefficient=0.0, entropy=0.0, credit=credit)
    without_critic = only(ppo.recipe(toy_problems(), steps=3, credit=credit, actor_critic=per_token))
    assert [term.name for term in without_critic.terms] == ["policy"]
    assert not without_critic.heads
    bit_equal(without_critic, only(rft.recipe(toy_problems(), steps=3, reinforcement=plain)))


def test_compared_verdicts_without_penalty_are_the_comparison_bit_for_bit() -> None:
    recipes = [
        only(ppo.recipe(toy_problems(), steps=2, credit=credit, actor_critic=ONCE))
        for credit in (Compared(penalty=FREE, comparison=Centred()), Centred())
    ]
    bit_equal(*recipes)


def test_with_a_critic_it_is_not() -> None:
    critic, group = (
        trained(only(ppo.recipe(toy_problems(), steps=2, credit=credit, actor_critic=ONCE)))
        for credit in (Gae(penalty=FREE), Centred())
    )
    assert not torch.equal(critic["model.norm.weight"], group["model.norm.weight"])


def row(score: float, value: float, length: int, uid: int) -> TrainingSequence:
    made = sequence([1] * (2 + length), spell("pg" + "s" * length), uid=uid, old_values=value)
    return dataclasses.replace(made, rollout=judged(made.rollout, score))


@given(score=st.floats(-2, 2), value=st.floats(-2, 2), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_critic_that_always_says_the_same_is_a_baseline(score: float, value: float, lengths: list[int]) -> None:
    rows = [row(score, value, length, uid) for uid, length in enumerate(lengths)]
    for found, made in zip(RAW(rows), rows, strict=True):
        sampled = made.origin == int(Origin.SAMPLED)
        assert found["advantages"][sampled].tolist() == pytest.approx(
            [score - value] * int(sampled.sum()), abs=ROUNDING
        )
        assert found["returns"][sampled].tolist() == pytest.approx([score] * int(sampled.sum()), abs=ROUNDING)


class Scored(Standardised):
    """The score itself as the advantage of every token."""

    def __call__(self, sequences):
        return [{"advantages": torch.full((len(s.tokens),), s.rollout.reward).double()} for s in sequences]


def test_a_critic_that_knows_nothing_yet_leaves_reinforce() -> None:
    settings = dataclasses.replace(ONE_UPDATE, value_coefficient=0.0)
    critic = gradient_of(only(ppo.recipe(toy_problems(), steps=1, credit=RAW, actor_critic=settings)), tiny_policy())
    plain = gradient_of(
        only(ppo.recipe(toy_problems(), steps=1, credit=Scored(), actor_critic=settings)), tiny_policy()
    )
    assert float(plain.norm()) > VISIBLE
    torch.testing.assert_close(critic[: len(plain)], plain, rtol=GRADIENT, atol=GRADIENT)
    assert not bool(critic[len(plain) :].any())


def worthless(response: str, example: Example) -> Verdict:
    return Verdict(0.0, "", True)


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("coefficient", [0.05, 100.0])
def test_where_nothing_is_to_be_earned_the_reference_stays_put(estimator: str, coefficient: float) -> None:
    problems = Problems(toy_problems().examples, worthless, each(worthless))
    credit = Gae(penalty=KlPenalty(coefficient, estimator), whitening=None)
    settings = dataclasses.replace(SMALL_ACTOR_CRITIC, weight_decay=0.0)
    after = trained(only(ppo.recipe(problems, steps=3, credit=credit, actor_critic=settings)))
    assert all(torch.equal(value, after[name]) for name, value in weights(tiny_policy()).items())


def choices(logits: Tensor, **signals: Tensor) -> list[TrainingSequence]:
    """Every answer of one token, with the old log-probabilities of a policy with these logits."""
    known = {"old_logprobs": torch.log_softmax(logits, -1), **signals}
    rows = []
    for token in range(len(logits)):
        stated = {name: [0.0, float(value[token])] for name, value in known.items()}
        made = sequence([1, token], spell("ps"), uid=token, old_values=0.0, **stated)
        rows.append(dataclasses.replace(made, rollout=judged(made.rollout, 0.0)))
    return rows


def expected_gradient(logits: Tensor, credit: Gae, rows: list[TrainingSequence]) -> Tensor:
    """Of the policy's loss along the logits, over all answers as likely as they are."""
    advantages = torch.stack([found["advantages"][1] for found in credit(rows)])
    leaf = logits.clone().requires_grad_()
    surrogate = -(torch.log_softmax(leaf, -1) * advantages * torch.softmax(logits, -1)).sum()
    (gradient,) = torch.autograd.grad(surrogate, leaf)
    return gradient


def penalised(estimator: str) -> tuple[Tensor, Tensor]:
    """The expected gradient of the penalty as a reward, and that of the divergence."""
    generator = torch.Generator().manual_seed(0)
    logits, reference = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    credit = Gae(penalty=KlPenalty(0.3, estimator), whitening=None)
    rows = choices(logits, reference_logprobs=torch.log_softmax(reference, -1))
    leaf = logits.clone().requires_grad_()
    p, q = torch.log_softmax(leaf, -1), torch.log_softmax(reference, -1)
    (exact,) = torch.autograd.grad(0.3 * (p.exp() * (p - q)).sum(), leaf)
    return expected_gradient(logits, credit, rows), exact


def test_on_average_the_penalty_descends_the_divergence() -> None:
    found, exact = penalised("k1")
    assert float(exact.norm()) > VISIBLE
    torch.testing.assert_close(found, exact, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_the_other_estimators_do_not_when_they_are_rewards(estimator: str) -> None:
    found, exact = penalised(estimator)
    assert float((found - exact).norm()) > VISIBLE


def reverse_curriculum(law) -> Stage:
    problems = toy_problems()
    source = Hinted(ONCE.rollouts_per_prompt, law)
    stream = Stream("answers", problems.examples, source, ONCE.prompts_per_step, problems.reward, Gae())
    return proximal.stage(stream, 2, ONCE)


def test_from_the_question_alone_the_reverse_curriculum_is_ppo_bit_for_bit() -> None:
    bit_equal(reverse_curriculum(NoHints()), only(ppo.recipe(toy_problems(), steps=2, actor_critic=ONCE)))


class Noting(ClippedPolicy):
    """Keeps the origins of tokens that have weight in any term, and what it reads of each sequence in every pass."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "trained", set())
        object.__setattr__(self, "read", {})

    def __call__(self, forward, batch) -> Tensor:
        for weight in batch.weights.values():
            self.trained.update(batch.origin[weight != 0].tolist())
        for at, uid in enumerate(batch.uid.tolist()):
            sampled = batch.weights["policy"][at] != 0
            known = [batch.signals[name][at][sampled].tolist() for name in ("advantages", "returns", "old_values")]
            self.read.setdefault(uid, []).append((known, forward.values[at][sampled].tolist()))
        return super().__call__(forward, batch)


def noting(stage: Stage) -> tuple[Stage, Noting]:
    """The stage with a policy term that keeps what it sees."""
    seen = Noting()
    policy, *others = stage.terms
    return dataclasses.replace(stage, terms=(dataclasses.replace(policy, objective=seen), *others)), seen


def test_what_a_start_state_gives_carries_no_loss() -> None:
    stage, seen = noting(reverse_curriculum(UniformHints()))
    (record, *_) = run(stage, tiny_policy())
    assert any(bool((r.origin == int(Origin.GIVEN)).any()) for r in record.collection.rollouts)
    assert seen.trained == {int(Origin.SAMPLED)}


def test_a_bounded_score_is_all_that_counts() -> None:
    def huge(response: str, example: Example) -> Verdict:
        return Verdict(1e6 if "a" in response else -1e6, "", True)

    def small(response: str, example: Example) -> Verdict:
        return Verdict(5.0 if "a" in response else -5.0, "", True)

    stages = [
        only(
            ppo.recipe(
                Problems(toy_problems().examples, verify, each(verify)),
                steps=2,
                credit=Gae(outcome=Outcome(bound=5.0)),
                actor_critic=ONCE,
            )
        )
        for verify in (huge, small)
    ]
    bit_equal(*stages)


def test_the_critic_learns_what_answers_are_worth_and_then_nothing_is_a_surprise() -> None:
    def always(response: str, example: Example) -> Verdict:
        return Verdict(1.0, "", True)

    problems = Problems(toy_problems().examples, always, each(always))
    settings = dataclasses.replace(SMALL_ACTOR_CRITIC, weight_decay=0.0, learning_rate=1e-2)
    stage = only(ppo.recipe(problems, steps=12, credit=RAW, actor_critic=settings))
    frozen_trunk = dataclasses.replace(stage, terms=stage.terms[1:])
    losses = [record.losses["value"] for record in run(frozen_trunk, tiny_policy())]
    assert losses[0] > 1.0  # half the squared error of 1 and coefficient 5, falling within the first step
    assert losses[-1] < losses[0] / 20


def test_every_pass_reads_the_values_of_before_the_first_update_though_the_critic_moves() -> None:
    stage, seen = noting(only(ppo.recipe(toy_problems(), steps=1, actor_critic=SMALL_ACTOR_CRITIC)))
    run(stage, tiny_policy())
    assert len(seen.read) == 12
    for (first, values), (second, moved) in seen.read.values():
        assert first == second
        assert values != moved
