"""Self-rewarding PPO: what its reward is worth on average, where it leads, and when it is nothing."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights, with_critic
from fixtures.sequences import ragged, sequence, spell
from fixtures.toy import toy_problems
from fixtures.training import CPU, SMALL_ACTOR_CRITIC, SMALL_SUPERVISION, continue_run, run, run_recipe
from posttrain.annotate import annotate
from posttrain.batching import collate
from posttrain.credit.compared import Compared
from posttrain.credit.gae import Gae
from posttrain.credit.group import Centred
from posttrain.credit.token_rewards import KlPenalty, LogRatio, MeanAtEnd, TokenByToken, sampled
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.loop import start
from posttrain.methods import srppo
from posttrain.policy import Policy
from posttrain.recipe import Recipe, Workspace
from posttrain.stage import Problems, Stage
from posttrain.stages import supervised
from posttrain.types import TrainingSequence, Verdict
from posttrain.weights.snapshots import Keep
from tolerances import MODEL, ROUNDING, VISIBLE

STILL = dataclasses.replace(SMALL_ACTOR_CRITIC, weight_decay=0.0)
SINGLE = dataclasses.replace(SMALL_ACTOR_CRITIC, rollouts_per_prompt=1)
GENERATOR = torch.Generator().manual_seed(0)
BASE, SFT = (torch.log_softmax(row, -1) for row in torch.randn(2, 6, generator=GENERATOR, dtype=torch.float64))


def small(steps: int = 2, actor_critic=SMALL_ACTOR_CRITIC, **settings) -> Recipe:
    return srppo.recipe(
        toy_problems(), steps=steps, supervision=SMALL_SUPERVISION, actor_critic=actor_critic, **settings
    )


# A bandit: answers of one token, of which everything is known.


def choices(policy: Tensor, value: float = 0.0) -> list[TrainingSequence]:
    """Every answer, with the log-probabilities (Float["v"]) of a policy, the imitator and the base."""
    stated = {"old_logprobs": policy, "sft_logprobs": SFT, "base_logprobs": BASE}
    return [
        sequence(
            [1, token],
            spell("ps"),
            uid=token,
            old_values=value,
            **{name: [0.0, float(values[token])] for name, values in stated.items()},
        )
        for token in range(len(policy))
    ]


def advantages(policy: Tensor, coefficient: float, towards: str, value: float = 0.0) -> Tensor:
    """Float["v"]: of each answer."""
    credit = Gae(LogRatio(), KlPenalty(coefficient, towards=towards), whitening=None)
    return torch.stack([found["advantages"][1] for found in credit(choices(policy, value))])


def gradient(policy: Tensor, coefficient: float, towards: str) -> Tensor:
    """Float["v"]: the expected policy gradient along the logits."""
    p = policy.exp()
    gained = p * advantages(policy, coefficient, towards)
    return gained - p * gained.sum()


OPTIMA = [
    ("base", 1.0, SFT),
    ("base", 0.5, (1 - 2) * BASE + 2 * SFT),
    ("base", 2.0, 0.5 * BASE + 0.5 * SFT),
    ("sft", 1.0, 2 * SFT - BASE),
    ("sft", 0.25, 5 * SFT - 4 * BASE),
]


@pytest.mark.parametrize(("towards", "coefficient", "logits"), OPTIMA)
def test_the_best_policy_of_a_single_choice(towards: str, coefficient: float, logits: Tensor) -> None:
    best = torch.log_softmax(logits, -1)
    gained = advantages(best, coefficient, towards)
    worth = coefficient * float(torch.logsumexp(logits, -1))
    assert gained.tolist() == pytest.approx([worth] * 6, abs=ROUNDING)
    # A critic that knows what the best policy is worth finds nothing to improve.
    assert advantages(best, coefficient, towards, value=worth).tolist() == pytest.approx([0.0] * 6, abs=ROUNDING)
    assert gradient(best, coefficient, towards).tolist() == pytest.approx([0.0] * 6, abs=ROUNDING)


@pytest.mark.parametrize(("towards", "coefficient", "logits"), OPTIMA)
def test_no_other_policy_is_as_good(towards: str, coefficient: float, logits: Tensor) -> None:
    best = torch.log_softmax(logits, -1)

    def worth(policy: Tensor) -> float:
        return float((policy.exp() * advantages(policy, coefficient, towards)).sum())

    noise = torch.Generator().manual_seed(1)
    for _ in range(20):
        other = torch.log_softmax(best + 0.3 * torch.randn(6, generator=noise, dtype=torch.float64), -1)
        assert worth(other) < worth(best)
    assert float(gradient(BASE, coefficient, towards).norm()) > VISIBLE


def test_the_imitator_is_the_best_policy_near_the_base_and_none_of_its_answers_is_a_gain() -> None:
    assert advantages(SFT, 1.0, "base").tolist() == pytest.approx([0.0] * 6, abs=ROUNDING)


def test_the_reward_is_a_divergence_on_average() -> None:
    rewards = torch.stack([LogRatio()(row)[-1] for row in choices(SFT)])
    gained, lost = (SFT.exp() * (SFT - BASE)).sum(), (BASE.exp() * (BASE - SFT)).sum()
    assert float((SFT.exp() * rewards).sum()) == pytest.approx(float(gained), abs=ROUNDING)
    assert float((BASE.exp() * rewards).sum()) == pytest.approx(-float(lost), abs=ROUNDING)
    assert min(float(gained), float(lost)) > VISIBLE


# The whole method on a tiny model.


def test_without_supervision_the_reward_is_nothing_and_nothing_is_learnt() -> None:
    policy = tiny_policy()
    records = run_recipe(small(steps=3, supervised_steps=0, actor_critic=STILL), policy)
    assert [record.losses["policy"] for record in records] == [0.0] * 3
    assert all(torch.equal(value, weights(policy)[name]) for name, value in weights(tiny_policy()).items())


def test_after_supervision_it_is_something() -> None:
    policy = tiny_policy()
    records = run_recipe(small(), policy)
    assert [record.now.scope for record in records] == [("supervised",)] * 2 + [("reinforced",)] * 2
    assert all(record.losses["value"] > 0 for record in records[2:])


def after_supervision() -> tuple[Stage, Workspace, Policy]:
    """The second stage, and the workspace and policy that it begins with."""
    keep, first, second = small().stages
    policy = tiny_policy()
    workspace = keep.run(Workspace(policy, HuggingFaceEngine(), 0))
    run(first, policy)
    return second, workspace, policy


def test_the_frozen_policies_are_those_of_before_and_after_supervision() -> None:
    second, workspace, policy = after_supervision()
    imitator = weights(policy)
    session = start(second, policy, 0, remembered=workspace.remembered)
    continue_run(session)
    assert set(session.frozen) == {"base", "sft"}
    for name, expected in (("base", weights(tiny_policy())), ("sft", imitator)):
        assert all(torch.equal(value, expected[k]) for k, value in weights(session.frozen[name]).items())
    assert not torch.equal(weights(policy)["model.norm.weight"], imitator["model.norm.weight"])


def test_the_ratios_sum_to_that_of_the_whole_text() -> None:
    second, _, policy = after_supervision()
    frozen = {"base": tiny_policy(), "sft": policy}
    rows = [dataclasses.replace(row, stream="answers", signals={}) for row in ragged(5, temperature=0.8)]
    annotated = annotate(rows, with_critic(tiny_policy(2)), frozen, second)
    for row in annotated:
        batch = collate([row], 0, CPU.device)
        positions = torch.zeros_like(batch.origin, dtype=torch.bool)
        positions[0, sampled(row)] = True
        with torch.no_grad():
            found = {name: Forward(model, batch, positions).logprobs.sum() for name, model in frozen.items()}
        assert float(LogRatio()(row).sum()) == pytest.approx(float(found["sft"] - found["base"]), abs=MODEL)


def test_no_verdict_is_asked_for() -> None:
    def never(response: str, example: object) -> Verdict:
        raise AssertionError("self-rewarding reads no verdict")

    problems = Problems(toy_problems().examples, never, never)
    recipe = srppo.recipe(problems, steps=1, supervision=SMALL_SUPERVISION, actor_critic=SMALL_ACTOR_CRITIC)
    records = run_recipe(recipe, tiny_policy())
    assert all(r.verdict is None for record in records for r in record.collection.rollouts)


@pytest.mark.parametrize(
    "credit",
    [
        Gae(LogRatio(bound=5.0), KlPenalty(0.1, towards="base")),
        Gae(LogRatio(earned=TokenByToken()), KlPenalty(0.0), whitening=None),
        Gae(LogRatio(earned=MeanAtEnd()), KlPenalty(0.1, "k2", "sft")),
        Compared(LogRatio(), KlPenalty(towards="sft"), Centred()),
    ],
    ids=["bound", "token by token", "mean", "group"],
)
def test_its_variants_train(credit: Gae | Compared) -> None:
    policy = tiny_policy()
    run_recipe(small(credit=credit, supervised_steps=1), policy)
    before = weights(tiny_policy())
    assert not any(torch.equal(value, before[name]) for name, value in weights(policy).items())


def test_imitating_the_first_demonstrations_only() -> None:
    problems = toy_problems()
    bare = dataclasses.replace(problems.examples[1], demonstrations=())
    mixed = dataclasses.replace(problems, examples=(problems.examples[0], bare, *problems.examples[2:]))
    keep, first, second = srppo.recipe(mixed, demonstrations=2).stages
    assert keep == Keep("base")
    assert [e.id for e in first.streams[0].examples] == ["toy-0", "toy-2"]
    assert len(second.streams[0].examples) == 8
    assert len(supervised.demonstrated(mixed).examples) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"demonstrations": 0}, "at least 1"),
        ({"credit": Gae(LogRatio(), KlPenalty())}, "frozen policy 'reference'"),
        ({"credit": Gae(LogRatio("teacher", "base"), KlPenalty(0.0))}, "frozen policy 'teacher'"),
        ({"credit": Compared(LogRatio(), KlPenalty(0.0)), "actor_critic": SINGLE}, "at least 2"),
    ],
)
def test_settings_that_could_not_work_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        srppo.recipe(toy_problems(), **change)


def test_problems_without_demonstrations_are_refused() -> None:
    problems = toy_problems()
    bare = tuple(dataclasses.replace(example, demonstrations=()) for example in problems.examples)
    with pytest.raises(UserError, match="no example has a demonstration"):
        srppo.recipe(dataclasses.replace(problems, examples=bare))
