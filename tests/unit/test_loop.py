"""The loop: updates, snapshots, counting, stopping."""

import dataclasses
from collections.abc import Mapping
from types import ModuleType

import pytest
import torch
from torch import Tensor

from fixtures.models import tiny_policy, weights
from fixtures.sequences import rollout, spell
from fixtures.toy import each, toy_problems
from fixtures.training import (
    CPU,
    SMALL,
    SMALL_SUPERVISION,
    RecordingRuntime,
    continue_run,
    prepared_stage,
    recitation,
    run,
)
from posttrain import loop, spent
from posttrain.batching import PerToken, collate
from posttrain.credit.group import Centred
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.forward import Forward
from posttrain.loop import NonFinite, start
from posttrain.methods import ift, lfu, rft, sft
from posttrain.objectives.clipped import ClippedPolicy
from posttrain.objectives.cross_entropy import CrossEntropy
from posttrain.objectives.kl import EstimatedKl, ExactKl
from posttrain.policy import Policy
from posttrain.protocols import Term
from posttrain.rollouts.demonstrations import Demonstrations
from posttrain.rollouts.on_policy import OnPolicy
from posttrain.spent import TooManyUnscorable
from posttrain.stage import AdamW, Problems, Stage, Stream
from posttrain.stages import supervised
from posttrain.text import Text
from posttrain.types import Example, Origin, Rollout, Verdict
from tolerances import MODEL, ROUNDING

SAMPLED, GIVEN = frozenset({Origin.SAMPLED}), frozenset({Origin.GIVEN})
POLICY = Term("policy", ClippedPolicy(), SAMPLED, PerToken())
LIKELIHOOD = Term("likelihood", CrossEntropy(), GIVEN, PerToken())


def group(*scores: float) -> tuple[Rollout, ...]:
    """Sampled rollouts of growing length with these scores."""
    return tuple(
        rollout([5, *[3 + i] * (2 + i), 4 + i, 0], spell("p" + "s" * (4 + i)), score=score)
        for i, score in enumerate(scores)
    )


def unchanged(policy: Policy, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(before[name], value) for name, value in weights(policy).items())


def test_likelihood_of_what_is_trained_on_rises(policy: Policy) -> None:
    records = run(
        supervised.stage(toy_problems(4), 10, dataclasses.replace(SMALL_SUPERVISION, learning_rate=0.01)), policy
    )
    losses = [record.losses["likelihood"] for record in records]
    assert losses[-1] < losses[0] / 2


def test_the_rewarded_answer_becomes_likelier_and_the_other_rarer(policy: Policy) -> None:
    good, bad = group(1.0, 0.0)

    def likelihood(answer: Rollout) -> float:
        stage = prepared_stage([(dataclasses.replace(answer, origin=answer.origin.clamp(max=1)),)], [LIKELIHOOD])
        return -run(stage, Policy(policy.model, policy.text), RecordingRuntime())[0].losses["likelihood"]

    frozen = {name: value.clone() for name, value in policy.model.state_dict().items()}
    before = [likelihood(good), likelihood(bad)]
    policy.model.load_state_dict(frozen)
    run(prepared_stage([(good, bad)], [POLICY], credit=Centred(), learning_rate=1e-3), policy)
    moved = {name: value.clone() for name, value in policy.model.state_dict().items()}
    after = [likelihood(good)]
    policy.model.load_state_dict(moved)
    after.append(likelihood(bad))
    assert after[0] > before[0]
    assert after[1] < before[1]


def test_a_collection_where_nothing_can_be_learnt_still_moves_by_momentum(policy: Policy) -> None:
    session = start(prepared_stage([group(1.0, 0.0)], [POLICY], credit=Centred()), policy, seed=0)
    continue_run(session)
    flat = prepared_stage([group(0.5, 0.5)], [POLICY], credit=Centred())
    still = start(flat, policy, seed=0)
    still.optimiser = session.optimiser
    before = weights(policy)
    (record,) = continue_run(still)
    assert record.skipped == 2
    assert record.gradient_norm == 0.0
    assert still.spent.updates == 1
    assert not unchanged(policy, before)


def test_without_momentum_such_a_collection_moves_nothing(policy: Policy) -> None:
    before = weights(policy)
    run(prepared_stage([group(0.5, 0.5)], [POLICY], credit=Centred()), policy)
    assert unchanged(policy, before)


def poison(policy: Policy) -> None:
    with torch.no_grad():
        next(iter(policy.model.parameters()))[5, 0] = float("nan")


def test_a_loss_that_is_not_a_number_stops_before_the_weights_move(policy: Policy) -> None:
    poison(policy)
    before = weights(policy)
    with pytest.raises(NonFinite, match="step 1 of stage 'prepared'"):
        run(prepared_stage([group(1.0, 0.0)], [POLICY], credit=Centred()), policy)
    assert all(torch.equal(before[n].nan_to_num(), v.nan_to_num()) for n, v in weights(policy).items())


class BrokenRuntime(RecordingRuntime):
    def gradient_norm(self, parameters, clip_norm: float) -> float:
        return float("inf")


def test_a_gradient_that_is_not_finite_stops_before_the_weights_move(policy: Policy) -> None:
    before = weights(policy)
    with pytest.raises(NonFinite, match="gradient norm is inf"):
        run(prepared_stage([group(1.0, 0.0)], [POLICY], credit=Centred()), policy, BrokenRuntime())
    assert unchanged(policy, before)


def failing_problems(every: int) -> Problems:
    """Every ``every``-th verdict is missing."""
    count = 0

    def verify(response: str, example: Example) -> Verdict:
        nonlocal count
        count += 1
        return Verdict(None, "timed out", False) if count % every == 0 else Verdict(count % 2, "", True)

    return Problems(toy_problems(40).examples, verify, each(verify))


@pytest.mark.parametrize(("every", "stops"), [(50, True), (110, False)])
def test_a_verifier_that_fails_too_often_stops_the_run(policy: Policy, text: Text, every: int, stops: bool) -> None:
    settings = dataclasses.replace(SMALL, prompts_per_step=40, kl_coefficient=0.0, entropy=0.0, groups_per_update=None)
    stage = rft.recipe(failing_problems(every), steps=2, reinforcement=settings).stages[0]
    if stops:
        with pytest.raises(TooManyUnscorable, match="limit 1%"):
            run(stage, policy, engine=recitation(text))
    else:
        assert len(run(stage, policy, engine=recitation(text))) == 2


def test_few_answers_are_too_few_to_judge_the_verifier(policy: Policy, text: Text) -> None:
    stage = rft.recipe(failing_problems(3), steps=2, reinforcement=SMALL).stages[0]
    records = run(stage, policy, engine=recitation(text))
    assert sum(r.collection.unscorable for r in records) == 8
    assert spent.UNSCORABLE_GRACE > 2 * 12


def test_the_reference_never_moves(policy: Policy) -> None:
    session = start(rft.recipe(toy_problems(), steps=2, reinforcement=SMALL).stages[0], policy, seed=0)
    continue_run(session)
    assert not unchanged(policy, weights(tiny_policy()))
    assert unchanged(session.frozen["reference"], weights(tiny_policy()))


def test_the_divergence_from_the_start_is_zero_and_then_is_not(policy: Policy) -> None:
    terms = [POLICY, Term("kl", EstimatedKl(), SAMPLED, PerToken(), 1.0)]
    stage = prepared_stage([group(1.0, 0.0)], terms, credit=Centred(), steps=2)
    losses = [record.losses["kl"] for record in run(stage, policy)]
    assert losses[0] == pytest.approx(0.0, abs=MODEL)
    assert losses[1] > MODEL


class Watching(ClippedPolicy):
    """Keeps the importance ratios of every call."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "ratios", [])

    def __call__(self, forward, batch) -> Tensor:
        members = batch.origin == int(Origin.SAMPLED)
        old = batch.signals.get("old_logprobs")
        ratio = None if old is None else (forward.logprobs - old)[members].exp().detach()
        self.ratios.append(ratio)
        return super().__call__(forward, batch)


@pytest.mark.parametrize("cut", [{"groups_per_update": 1}, {"passes_over_rollouts": 2}])
def test_the_ratio_is_one_in_the_first_of_several_updates_and_moves_after_it(policy: Policy, cut) -> None:
    watching = Watching()
    term = Term("policy", watching, SAMPLED, PerToken())
    groups = [group(1.0, 0.0), group(0.5, 0.0)]
    run(prepared_stage(groups, [term], credit=Centred(), learning_rate=1e-2, **cut), policy)
    first, second = watching.ratios
    torch.testing.assert_close(first, torch.ones_like(first), rtol=0, atol=MODEL)
    assert float((second - 1).abs().max()) > MODEL


def test_a_single_update_needs_no_old_logprobs(policy: Policy) -> None:
    watching = Watching()
    term = Term("policy", watching, SAMPLED, PerToken())
    run(prepared_stage([group(1.0, 0.0)] * 2, [term], credit=Centred(), groups_per_update=2), policy)
    assert watching.ratios == [None]


def test_the_learning_rate_and_coefficients_follow_their_schedules(policy: Policy) -> None:
    term = dataclasses.replace(LIKELIHOOD, coefficient=lambda now: now.step + 1.0)
    made = (rollout([5, 3, 4, 0], spell("pggg")),)
    stage = prepared_stage([made], [term], steps=3, learning_rate=lambda now: now.step * 0.0)
    records = run(stage, policy)
    one = records[0].losses["likelihood"]
    assert [r.losses["likelihood"] for r in records] == pytest.approx([one, 2 * one, 3 * one])
    scheduled = prepared_stage([made], [term], steps=3, learning_rate=lambda now: now.step * 0.1)
    assert [r.learning_rate for r in run(scheduled, policy)] == pytest.approx([0.0, 0.1, 0.2])


def test_clipping_bounds_the_step_but_reports_the_norm(policy: Policy) -> None:
    made = (rollout([5, 3, 4, 0], spell("pggg")),)
    runtime = RecordingRuntime()
    (record,) = run(prepared_stage([made], [LIKELIHOOD], optimiser=AdamW(clip_norm=1e-3)), policy, runtime)
    assert record.gradient_norm == pytest.approx(float(runtime.gradients[0].norm()))
    assert record.gradient_norm > 1e-3


def test_everything_that_is_spent_is_counted(policy: Policy) -> None:
    session = start(rft.recipe(toy_problems(), steps=2, reinforcement=SMALL).stages[0], policy, seed=0)
    records = continue_run(session)
    rollouts = [r for record in records for r in record.collection.rollouts]
    assert session.spent.completions_sampled == session.spent.answers_judged == len(rollouts) == 24
    assert session.spent.tokens_sampled == sum(int((r.origin == Origin.SAMPLED).sum()) for r in rollouts)
    assert session.spent.tokens_trained == sum(len(r.tokens) for r in rollouts)
    assert session.spent.updates == 4
    assert session.spent.flops > 0


@pytest.mark.parametrize(
    ("kl", "updates", "forward_passes"), [(None, 1, 0), (None, 2, 1), (EstimatedKl(), 2, 2), (ExactKl(), 2, 2)]
)
def test_passes_of_old_and_frozen_policies_are_work_too(policy: Policy, kl, updates: int, forward_passes: int) -> None:
    rows = [group(1.0, 0.0), group(0.0, 1.0)]
    terms = [POLICY, *([Term("kl", kl, SAMPLED, PerToken())] if kl else [])]
    stage = prepared_stage(rows, terms, credit=Centred(), groups_per_update=2 // updates)
    session = start(stage, policy, seed=0)
    continue_run(session)
    tokens = session.spent.tokens_trained
    sampling, training = 1, 3
    per_token = session.spent.flops / (2 * policy.parameters_count * tokens)
    assert per_token == pytest.approx(sampling + training + forward_passes)


@dataclasses.dataclass(frozen=True)
class OneLayer:
    """A frozen policy of another size."""

    def start(self, policy: Policy, remembered: Mapping[str, Policy]) -> Policy:
        other = tiny_policy(seed=1)
        other.model.model.layers = other.model.model.layers[:1]
        return other.frozen_copy()


@pytest.mark.parametrize("kl", [EstimatedKl(), ExactKl()])
def test_a_frozen_policy_works_by_its_own_size_and_where_somebody_reads_it(policy: Policy, kl) -> None:
    hinted = (rollout([5, 3, 4, 6, 0], spell("pggss"), score=1.0), rollout([5, 4, 0], spell("pgs"), score=0.0))
    rows = [group(1.0, 0.0), hinted]
    near = Term("near what was given", kl, GIVEN, PerToken())
    spent = []
    for terms in ([POLICY], [POLICY, near]):
        frozen = {"reference": OneLayer()}
        stage = prepared_stage(rows, terms, credit=Centred(), frozen=frozen, tokens_per_microbatch=1)
        session = start(stage, tiny_policy(), seed=0)
        continue_run(session)
        spent.append(session.spent.flops)
    small = OneLayer().start(policy, {}).parameters_count
    assert small < policy.parameters_count
    read = hinted if isinstance(kl, ExactKl) else [r for rs in rows for r in rs]  # signals know no origin
    assert spent[1] - spent[0] == 2 * small * sum(len(r.tokens) for r in read)


def test_passes_that_terms_make_of_their_own_are_work_too(policy: Policy) -> None:
    def work(method: ModuleType) -> tuple[float, float]:
        """In passes per token, on demonstrations that are all drawn in every step."""
        supervision = dataclasses.replace(SMALL_SUPERVISION, prompts_per_step=8)
        session = start(method.recipe(toy_problems(8), steps=1, supervision=supervision).stages[0], tiny_policy(), 0)
        continue_run(session)
        return session.spent.flops / (2 * policy.parameters_count), session.spent.tokens_trained

    forward, training = 1, 3
    (plain, tokens), (intuitive, same), (undesirable, again) = (work(method) for method in (sft, ift, lfu))
    assert tokens == same == again
    assert plain / tokens == pytest.approx(training)
    assert intuitive / tokens == pytest.approx(forward + training)
    assert undesirable / tokens == pytest.approx(3 * training)


def test_passes_that_a_selection_makes_itself_are_work_too(policy: Policy) -> None:
    class Looking:
        needs = emphasises = frozenset[str]()

        def start(self, seed: int) -> "Looking":
            return self

        def __call__(self, sequences, policy, now):
            batch = collate(sequences[:1], policy.text.end, policy.device)
            with torch.no_grad():
                _ = Forward(policy, batch, batch.origin == int(Origin.SAMPLED)).logits
            return list(sequences)

    stage = prepared_stage([group(1.0, 0.0)], [POLICY], credit=Centred())
    sessions = [start(dataclasses.replace(stage, selection=s), tiny_policy(), seed=0) for s in (None, Looking())]
    for session in sessions:
        continue_run(session)
    plain, looking = (session.spent.flops for session in sessions)
    first = len(group(1.0, 0.0)[0].tokens)
    assert looking - plain == pytest.approx(2 * policy.parameters_count * first)


def test_recited_tokens_are_counted_too(policy: Policy, text: Text) -> None:
    session = start(rft.recipe(toy_problems(), steps=1, reinforcement=SMALL).stages[0], policy, 0, recitation(text))
    continue_run(session)
    assert session.spent.tokens_sampled == 4 * (6 + 5 + 4)


def test_demonstrations_are_not_sampled(policy: Policy) -> None:
    session = start(supervised.stage(toy_problems(), 2, SMALL_SUPERVISION), policy, seed=0)
    continue_run(session)
    assert (session.spent.completions_sampled, session.spent.tokens_sampled, session.spent.answers_judged) == (0, 0, 0)
    assert session.spent.updates == 2


def test_supervised_and_reinforced_streams_train_side_by_side(policy: Policy) -> None:
    problems = toy_problems()
    streams = (
        Stream("answers", problems.examples, OnPolicy(2), 2, problems.reward, Centred()),
        Stream("solutions", problems.examples, Demonstrations(), 2),
    )
    terms = (
        dataclasses.replace(POLICY, stream="answers"),
        dataclasses.replace(LIKELIHOOD, stream="solutions"),
    )
    stage = Stage("both", streams, terms, steps=3, learning_rate=1e-3, tokens_per_microbatch=1)
    for record in run(stage, policy):
        assert record.losses["likelihood"] > 0
        assert {s.stream for s in record.collection.sequences} == {"answers", "solutions"}


def test_the_engine_has_the_newest_weights_in_every_step(policy: Policy) -> None:
    class Noting(HuggingFaceEngine):
        seen: list[tuple[int, float]]

        def load(self, policy: Policy, version: int) -> None:
            super().load(policy, version)
            self.seen.append((version, float(next(iter(policy.model.parameters())).detach().sum())))

    engine = Noting()
    engine.seen = []
    run(rft.recipe(toy_problems(), steps=3, reinforcement=SMALL).stages[0], policy, engine=engine)
    assert [version for version, _ in engine.seen] == [0, 1, 2]
    assert len({total for _, total in engine.seen}) == 3


def test_equal_seeds_give_equal_runs_and_others_do_not() -> None:
    stage = rft.recipe(toy_problems(), steps=2, reinforcement=SMALL).stages[0]
    first, again, other = (tiny_policy() for _ in range(3))
    for policy, seed in ((first, 0), (again, 0), (other, 1)):
        run(stage, policy, seed=seed)
    assert unchanged(again, weights(first))
    assert not unchanged(other, weights(first))


def test_stopping_and_going_on_is_not_noticed() -> None:
    stage = rft.recipe(toy_problems(), steps=4, reinforcement=SMALL).stages[0]
    whole, parted = tiny_policy(), tiny_policy()
    run(stage, whole)
    session = start(stage, parted, seed=0)
    loop.train(session, CPU, lambda record: record.now.step != 1)
    assert session.step == 2
    continue_run(session)
    assert unchanged(parted, weights(whole))


def test_zero_steps_do_nothing(policy: Policy) -> None:
    before = weights(policy)
    assert run(rft.recipe(toy_problems(), steps=0, reinforcement=SMALL).stages[0], policy) == []
    assert unchanged(policy, before)


def test_reported_losses_are_means_over_the_updates_of_a_step(policy: Policy) -> None:
    rows = [(rollout([5, 3, 0], spell("pgg")),), (rollout([5, 9, 8, 7, 0], spell("pgggg")),)]
    together, apart = (
        run(prepared_stage(rows, [LIKELIHOOD], learning_rate=0.0, groups_per_update=n), policy)[0].losses["likelihood"]
        for n in (2, 1)
    )
    stages = [prepared_stage([row], [LIKELIHOOD], learning_rate=0.0) for row in rows]
    singles = [run(stage, policy)[0].losses["likelihood"] for stage in stages]
    assert apart == pytest.approx(sum(singles) / 2, abs=ROUNDING)
    assert together == pytest.approx((2 * singles[0] + 4 * singles[1]) / 6, abs=MODEL)
