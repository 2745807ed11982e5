"""The loop. Every method of the library runs through it, and it names none of them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from posttrain.annotate import annotate
from posttrain.batching import collate, microbatches, minibatches, weigh
from posttrain.collect import Collection, collect, refuse_overlong
from posttrain.engines.huggingface import HuggingFaceEngine
from posttrain.errors import UserError
from posttrain.forward import Forward
from posttrain.policy import Policy
from posttrain.prefixes import can_share
from posttrain.protocols import Attached, Engine, SelectionSession, Term
from posttrain.recipe import Workspace
from posttrain.runtime import LocalRuntime
from posttrain.spent import Spent, count
from posttrain.stage import Stage
from posttrain.stopwatch import phase
from posttrain.types import Progress, TrainingSequence


class NonFinite(Exception):
    """A loss, a gradient or a weight is nan or infinite.

    The update that showed it is not made. Earlier updates of the same step are: where a collection is trained on in
    several updates, the weights are those of before that update, not of before the step.
    """


@dataclass
class Session:
    """A stage in progress: everything that a checkpoint has to hold.

    Args:
        stage: what is done.
        policy: what is trained.
        frozen: the frozen policies of the stage.
        optimiser: with its state.
        seed: the run's seed.
        engine: writes what is sampled.
        selection: the stage's selection at work.
        adapter: the stage's adapter at work.
        workspace: what the recipe has made so far, if the stage belongs to one.
        step: steps of this stage that are finished.
        spent: what the run has used up.
    """

    stage: Stage
    policy: Policy
    frozen: dict[str, Policy]
    optimiser: torch.optim.Optimizer
    seed: int
    engine: Engine
    selection: SelectionSession | None = None
    adapter: Attached | None = None
    workspace: Workspace | None = None
    step: int = 0
    spent: Spent = field(default_factory=Spent)

    @property
    def now(self) -> Progress:
        """The moment of the next step."""
        return Progress(self.step, self.stage.steps, self.seed, (self.stage.name,))


@dataclass(frozen=True, eq=False)
class StepRecord:
    """What one step did, for journals; losses and norm are means over its updates, however many groups each has."""

    now: Progress
    collection: Collection
    losses: dict[str, float]
    gradient_norm: float
    learning_rate: float
    skipped: int
    seconds: float


def start(
    stage: Stage,
    policy: Policy,
    seed: int,
    engine: Engine | None = None,
    spent: Spent | None = None,
    remembered: Mapping[str, Policy] | None = None,
) -> Session:
    """Begin a stage: a fresh optimiser, fresh heads, and the frozen policies that something reads.

    Args:
        stage: what is going to be done.
        policy: trained in place.
        seed: the run's.
        engine: writes what is sampled; the in-process one if it is not given.
        spent: what the run has used up so far.
        remembered: earlier states of the policy that the recipe kept.

    Raises:
        UserError: something that the stage asks for cannot be made of this policy.
    """
    frozen = {name: stage.frozen[name].start(policy, remembered or {}) for name in sorted(stage.frozen_needed)}
    policy.heads = {name: head.start(policy.width, policy.device) for name, head in stage.heads.items()}
    selection = None if stage.selection is None else stage.selection.start(seed)
    # Attached last: snapshots are of the model as it was.
    adapter = None if stage.adapter is None else stage.adapter.attach(policy, seed, remembered or {})
    _refuse_moving(frozen, policy)
    optimiser = fresh_optimiser(stage, policy)
    engine = engine or HuggingFaceEngine()
    return Session(stage, policy, frozen, optimiser, seed, engine, selection, adapter, spent=spent or Spent())


def _refuse_moving(frozen: Mapping[str, Policy], policy: Policy) -> None:
    """A frozen policy may hold weights of the one that is trained, but none that training moves."""
    # A parametrised weight is written anew whenever what it is computed from moves.
    parametrised = [m for m in policy.model.modules() if is_parametrized(m)]
    written = {id(p.original) for m in parametrised for p in m.parametrizations.values()}
    trained = {id(p) for p in policy.trainable()} | written
    for name, other in frozen.items():
        if trained & {id(p) for p in other.model.parameters()}:
            raise UserError(
                f"the frozen policy {name!r} is the model without its adapter, but this stage trains the model's own "
                "weights; take a snapshot, or an adapter that leaves them alone, such as lora"
            )


def fresh_optimiser(stage: Stage, policy: Policy) -> torch.optim.Optimizer:
    """The stage's optimiser with an empty memory, over what is trained of the policy and its heads."""
    groups: list[dict[str, Any]] = [{"params": policy.trainable(), "factor": 1.0}]
    for name, head in stage.heads.items():
        groups.append({"params": list(policy.heads[name].parameters()), "factor": head.learning_rate_factor})
    return stage.optimiser.start(groups)


def finish(session: Session) -> None:
    """End a stage that has done its last step: its adapter folds into the model, its heads are gone."""
    if session.adapter is not None:
        session.adapter.merge()
        session.adapter = None
    session.policy.heads = {}


def train(session: Session, runtime: LocalRuntime, after_step: Callable[[StepRecord], bool]) -> None:
    """Run the stage from where the session stands.

    Args:
        session: advanced in place.
        runtime: device, precision, ranks.
        after_step: told of every finished step; returning ``False`` stops the run there.

    Raises:
        NonFinite: before the offending update is applied.
        TooManyUnscorable: see ``UNSCORABLE_LIMIT``; no update of that step was made.
    """
    while session.step < session.stage.steps:
        before = dataclasses.replace(session.spent)
        try:
            record = one_step(session, runtime)
        except BaseException:
            session.spent = before  # a resumed run does this step again, and counts it then
            raise
        session.step += 1
        if not after_step(record):
            return


def one_step(session: Session, runtime: LocalRuntime) -> StepRecord:
    """Collect, annotate, update."""
    began = time.perf_counter()
    stage, policy, now = session.stage, session.policy, session.now
    session.engine.load(policy, version=now.step)
    collection = collect(stage, session.engine, policy.text, now)
    refuse_overlong(collection.sequences, policy.context)
    count(session.spent, session.policy, collection)
    before = _work(session)
    with phase("annotate"):
        sequences = annotate(collection.sequences, policy, session.frozen, stage)
        if session.selection is not None:
            sequences = session.selection(sequences, policy, now)
    losses: dict[str, float] = {term.name: 0.0 for term in stage.terms}
    norms, skipped = [], 0
    order = now.generator("minibatches")
    for minibatch in minibatches(sequences, stage.groups_per_update, stage.passes_over_rollouts, order):
        skipped += _gradient(session, runtime, minibatch, now, losses)
        with phase("optimiser"):
            norms.append(_update(session, runtime, now))
    session.spent.flops += _work(session) - before
    updates = max(1, len(norms))
    seconds = time.perf_counter() - began
    session.spent.seconds += seconds
    mean_losses = {name: value / updates for name, value in losses.items()}
    norm = sum(norms) / len(norms) if norms else math.nan
    return StepRecord(now, collection, mean_losses, norm, stage.learning_rate_at(now), skipped, seconds)


def _gradient(
    session: Session, runtime: LocalRuntime, minibatch: list[TrainingSequence], now: Progress, losses: dict[str, float]
) -> int:
    """Accumulate the gradient of one minibatch; returns how many sequences needed no pass."""
    stage, policy, budget = session.stage, session.policy, runtime.tokens_at_once(session.stage.tokens_per_microbatch)
    weighed = weigh(minibatch, stage.terms, runtime.total)
    alive = [s for s in weighed if not all(_inert(term, s) for term in stage.terms)]
    prepared = {t.prepare.provides: t.prepare(weighed, policy, budget) for t in stage.terms if t.prepare is not None}
    for rows in microbatches(alive, budget, stage.whole_groups, can_share(policy.model)):
        with phase("forward"):
            loss = _loss(session, rows, prepared, now, losses)
        if not bool(torch.isfinite(loss)):
            raise NonFinite(f"the loss is {float(loss.detach())} at step {now.step + 1} of stage {stage.name!r}")
        with phase("backward"):
            runtime.backward(loss)
        session.spent.tokens_trained += sum(s.length for s in rows)
    return len(weighed) - len(alive)


def _loss(
    session: Session,
    rows: list[TrainingSequence],
    prepared: Mapping[str, Any],
    now: Progress,
    losses: dict[str, float],
) -> Tensor:
    """One micro-batch's part of the loss; each term's is added to ``losses``."""
    stage, policy = session.stage, session.policy
    batch = collate(rows, policy.text.end, policy.device)
    positions = torch.stack([w != 0 for w in batch.weights.values()]).any(0)
    forward = Forward(policy, batch, positions, session.frozen, prepared, keeps_layers=stage.keeps_layers)
    loss = torch.zeros((), device=policy.device)
    for term in stage.terms:
        if not any(bool(s.weights[term.name].any()) for s in rows):
            continue  # nothing to read here, and perhaps no signals to read it with
        values = term.objective(forward, batch)
        part = term.coefficient_at(now) * (values * batch.weights[term.name].to(values.dtype)).sum()
        losses[term.name] += float(part.detach())
        loss = loss + part
    return loss


def _work(session: Session) -> int:
    """FLOPs of all passes that the models of the stage have made so far, of each by its own size and tokens."""
    models = {id(p): p for p in (session.policy, *session.frozen.values())}.values()
    return sum(p.parameters_count * (2 * p.tokens_passed + 4 * p.tokens_differentiated) for p in models)


def _inert(term: Term, sequence: TrainingSequence) -> bool:
    return not bool(sequence.weights[term.name].any()) or term.objective.inert(sequence)


def _update(session: Session, runtime: LocalRuntime, now: Progress) -> float:
    """Clip and step. Without any gradient it is zeros that step, so that momentum acts as if nothing was skipped."""
    stage, groups = session.stage, session.optimiser.param_groups
    parameters = [p for group in groups for p in group["params"]]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if session.adapter is not None:
        session.adapter.before_update(session.optimiser, now)
    norm = runtime.gradient_norm(parameters, stage.optimiser.clip_norm)
    if not math.isfinite(norm):
        raise NonFinite(f"the gradient norm is {norm} at step {now.step + 1} of stage {stage.name!r}")
    for group in groups:
        group["lr"] = stage.learning_rate_at(now) * group["factor"]
    session.optimiser.step()
    session.optimiser.zero_grad(set_to_none=True)
    if session.adapter is not None:
        session.adapter.after_update(session.optimiser, now)
    session.spent.updates += 1
    return norm
