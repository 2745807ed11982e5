"""On-policy distillation: the sampled form against the exact one, and when there is nothing to learn."""

import dataclasses

import pytest
import torch
from torch import Tensor

from fixtures.models import Stranger, bigram_policy, random_table, tiny_policy, weights
from fixtures.sequences import rollout, sequence, spell
from fixtures.toy import toy_problems
from fixtures.training import (
    CPU,
    SMALL,
    SMALL_DISTILLATION,
    SMALL_SUPERVISION,
    continue_run,
    gradient_of,
    prepared_stage,
    run,
    run_recipe,
)
from posttrain.batching import PerSequence, collate
from posttrain.credit.teacher import TeacherRatio
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.frozen import AdapterOff, FromFolder, Remembered, Snapshot
from posttrain.loop import start
from posttrain.methods import opd, rft
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.distil import ForwardKl, HardTarget, JensenShannon, ReverseKl
from posttrain.protocols import Term
from posttrain.stage import Problems, Stage
from posttrain.stages import distilled, supervised
from posttrain.stages.distilled import Distillation, Sampled
from posttrain.types import Example, Origin, TrainingSequence, Verdict
from posttrain.weights.snapshots import Keep
from tolerances import GRADIENT, MODEL, ROUNDING, VISIBLE

SAMPLED = frozenset({Origin.SAMPLED})
STILL = dataclasses.replace(SMALL_DISTILLATION, weight_decay=0.0)
DIVERGENCES = [Sampled(), ReverseKl(), ForwardKl(), HardTarget(), JensenShannon()]


def named(part: object) -> str:
    return type(part).__name__


EVERY = pytest.mark.parametrize("divergence", DIVERGENCES, ids=named)


def taught(settings: Distillation = SMALL_DISTILLATION, steps: int = 2, teacher=Stranger()) -> Stage:
    return distilled.stage(toy_problems(), steps, settings, teacher)


# Answers of one token, of which everything is known.

STUDENT, TEACHER = random_table(5), random_table(5, seed=1)
P, Q = (torch.log_softmax(table[1], -1) for table in (STUDENT, TEACHER))


def choices() -> list[TrainingSequence]:
    """Every token after token 1, with the log-probabilities of student and teacher."""
    known = [(float(p), float(q)) for p, q in zip(P, Q)]
    return [
        sequence([1, token], spell("ps"), uid=token, old_logprobs=[0.0, p], teacher_logprobs=[0.0, q])
        for token, (p, q) in enumerate(known)
    ]


def credited() -> list[TrainingSequence]:
    rows = choices()
    return [dataclasses.replace(row, signals=found) for row, found in zip(rows, TeacherRatio()(rows), strict=True)]


def along_the_table(objective, rows: list[TrainingSequence], likelihoods: Tensor) -> Tensor:
    """Float["5 5"]: the gradient of the rows' losses, each as likely as it is."""
    student = bigram_policy(STUDENT)
    batch = collate(rows, 0, student.device)
    positions = torch.zeros_like(batch.tokens, dtype=torch.bool)
    positions[:, 1] = True
    losses = objective(Forward(student, batch, positions, {"teacher": bigram_policy(TEACHER)}), batch)
    (losses[:, 1] * likelihoods).sum().backward()
    return student.model.table.grad


def test_on_average_the_advantage_is_minus_the_divergence() -> None:
    advantages = torch.stack([row.signals["advantages"][1] for row in credited()])
    divergence = float((P.exp() * (P - Q)).sum())
    assert float((P.exp() * advantages).sum()) == pytest.approx(-divergence, abs=ROUNDING)
    assert divergence > VISIBLE


def test_on_average_the_sampled_form_descends_the_exact_divergence() -> None:
    sampled = along_the_table(ClippedPolicy(), credited(), P.exp())
    exact = along_the_table(ReverseKl(), [sequence([1, 2], spell("ps"))], torch.ones(1))
    assert float(exact.norm()) > VISIBLE
    torch.testing.assert_close(sampled, exact, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("objective", [ForwardKl(), HardTarget(), JensenShannon()], ids=named)
def test_it_is_none_of_the_others(objective) -> None:
    sampled = along_the_table(ClippedPolicy(), credited(), P.exp())
    other = along_the_table(objective, [sequence([1, 2], spell("ps"))], torch.ones(1))
    assert float((sampled - other).norm()) > VISIBLE


# The loop on a tiny model.


def one_update(divergence, **changes) -> Distillation:
    return dataclasses.replace(STILL, divergence=divergence, groups_per_update=None, **changes)


@pytest.mark.parametrize("divergence", [Sampled(), ReverseKl(), ForwardKl(), JensenShannon()], ids=named)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(divergence) -> None:
    itself, another = (taught(one_update(divergence), 1, teacher) for teacher in (Snapshot(), Stranger()))
    assert float(gradient_of(itself, tiny_policy()).abs().max()) <= GRADIENT
    assert float(gradient_of(another, tiny_policy()).abs().max()) > VISIBLE


def test_the_sampled_form_then_does_not_even_pass_the_model() -> None:
    policy = tiny_policy()
    (record,) = run(taught(one_update(Sampled()), 1, Snapshot()), policy)
    assert record.skipped == len(record.collection.sequences) == 12
    assert all(torch.equal(value, weights(policy)[name]) for name, value in weights(tiny_policy()).items())


@EVERY
def test_the_same_answer_eight_times_teaches_what_it_teaches_once(divergence) -> None:
    made = rollout([5, 3, 4, 7, 0], spell("pssss"))
    other = rollout([6, 3, 0], spell("pss"))
    objective = divergence.objective if isinstance(divergence, Sampled) else divergence
    credit = divergence.credit if isinstance(divergence, Sampled) else None
    terms = [Term("teacher", objective, SAMPLED, PerSequence())]
    once, often = (
        gradient_of(
            prepared_stage([(made,) * n, (other,) * n], terms, credit=credit, frozen={"teacher": Stranger()}),
            tiny_policy(),
        )
        for n in (1, 8)
    )
    assert float(once.norm()) > VISIBLE
    torch.testing.assert_close(often, once, rtol=GRADIENT, atol=GRADIENT)


class Noting(ClippedPolicy):
    """Keeps the advantages of sampled tokens, and whether a gradient could flow through them."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "advantages", {})

    def __call__(self, forward, batch) -> Tensor:
        found = batch.signals["advantages"]
        assert not found.requires_grad
        sampled = batch.origin == int(Origin.SAMPLED)
        for at, uid in enumerate(batch.uid.tolist()):
            self.advantages[uid] = found[at][sampled[at]]
        return super().__call__(forward, batch)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_advantages_are_the_teachers_log_ratio_at_the_sampling_temperature(temperature: float) -> None:
    seen = Noting()
    teacher = Stranger().start(tiny_policy(), {})
    settings = one_update(Sampled(objective=seen), temperature=temperature)
    (record,) = run(taught(settings, 1), tiny_policy())
    for made in record.collection.sequences:
        sampled = made.origin == int(Origin.SAMPLED)
        expected = torch.zeros(int(sampled.sum()), dtype=torch.float64)
        for model, sign in ((teacher, 1), (tiny_policy(), -1)):
            with torch.no_grad():
                logits = model.model(input_ids=made.tokens[None], use_cache=False).logits[0] / temperature
            predicted = torch.log_softmax(logits[:-1], -1).gather(-1, made.tokens[1:, None])[:, 0]
            expected += sign * predicted[sampled[1:]]
        torch.testing.assert_close(seen.advantages[made.uid], expected, rtol=MODEL, atol=MODEL)


@EVERY
def test_the_teacher_never_moves_and_the_student_comes_nearer(divergence) -> None:
    stage = taught(dataclasses.replace(STILL, divergence=divergence, learning_rate=3e-3), 12)
    policy = tiny_policy()
    before = distance(tiny_policy(), stage)
    session = start(stage, policy, seed=0)
    records = continue_run(session)
    expected = weights(tiny_policy(seed=1))
    assert all(torch.equal(value, expected[name]) for name, value in weights(session.frozen["teacher"]).items())
    assert all(p.grad is None for p in session.frozen["teacher"].model.parameters())
    assert distance(policy, stage) < before
    assert all(r.verdict is None for record in records for r in record.collection.rollouts)


def distance(policy, stage: Stage) -> float:
    """KL(student || teacher) in the states of the untrained student's answers, in nats per token."""
    still = dataclasses.replace(stage, terms=(Term("d", ReverseKl(), SAMPLED, PerSequence()),), steps=1)
    streams = tuple(dataclasses.replace(s, credit=None) for s in still.streams)
    (record,) = run(dataclasses.replace(still, streams=streams, learning_rate=0.0), tiny_policy())
    rows = tuple((r,) for r in record.collection.rollouts)
    measure = prepared_stage(rows, still.terms, frozen={"teacher": Stranger()}, learning_rate=0.0)
    copy = tiny_policy()
    copy.model.load_state_dict(policy.model.state_dict())
    return run(measure, copy, CPU)[0].losses["d"]


def test_several_updates_compare_with_the_student_of_before_the_first() -> None:
    one, two = Noting(), Noting()
    for passes, seen in ((1, one), (2, two)):
        run(taught(one_update(Sampled(objective=seen), passes_over_rollouts=passes), 1), tiny_policy())
    assert len(one.advantages) == 12
    assert all(torch.equal(value, two.advantages[uid]) for uid, value in one.advantages.items())


# Stages.


def never(response: str, example: Example) -> Verdict:
    raise AssertionError("distillation reads no verdict")


def test_no_verdict_is_asked_for() -> None:
    problems = Problems(toy_problems().examples, never, never)
    recipe = opd.recipe(problems, steps=1, teacher=Stranger(), distillation=SMALL_DISTILLATION)
    assert len(run_recipe(recipe, tiny_policy())) == 1


def test_distilled_then_reinforced_is_each_of_them() -> None:
    recipe = opd.recipe(
        toy_problems(),
        steps=2,
        teacher=Stranger(),
        supervised_steps=1,
        supervision=SMALL_SUPERVISION,
        distillation=SMALL_DISTILLATION,
        reinforced_steps=2,
        reinforcement=SMALL,
    )
    together, apart = tiny_policy(), tiny_policy()
    run_recipe(recipe, together)
    assert [stage.name for stage in recipe.stages] == ["supervised", "distilled", "reinforced"]
    run(supervised.stage(toy_problems(), 1, SMALL_SUPERVISION), apart)
    run(taught(), apart)
    run(rft.recipe(toy_problems(), steps=2, reinforcement=SMALL).stages[0], apart)
    assert all(torch.equal(value, weights(apart)[name]) for name, value in weights(together).items())


def test_a_remembered_teacher_is_the_student_before_its_supervision() -> None:
    recipe = opd.recipe(
        toy_problems(),
        steps=1,
        teacher=Remembered("start"),
        supervised_steps=2,
        demonstrations=2,
        supervision=SMALL_SUPERVISION,
        distillation=SMALL_DISTILLATION,
    )
    keep, first, last = recipe.stages
    assert keep == Keep("start")
    assert len(first.streams[0].examples) == 2
    policy = tiny_policy()
    records = run_recipe(recipe, policy)
    assert records[-1].gradient_norm > 0
    assert last.frozen == {"teacher": Remembered("start")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": Snapshot()}, "nothing to teach"),
        ({"teacher": AdapterOff()}, "nothing to teach"),
        ({"teacher": Remembered("start")}, "set supervised_steps"),
        ({"supervised_steps": -1}, "steps cannot be negative"),
        ({"reinforced_steps": -1}, "steps cannot be negative"),
    ],
)
def test_what_would_teach_nothing_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        opd.recipe(toy_problems(), **settings)


def test_the_papers_teacher_is_another_model() -> None:
    (stage,) = opd.recipe(toy_problems()).stages
    assert stage.frozen == {"teacher": FromFolder("teacher")}
    assert stage.signals_needed == {"teacher_logprobs", "old_logprobs"}
