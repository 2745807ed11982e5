"""One run from its spec to its folder: load, measure the base, train, evaluate, save, summarise."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from posttrain.engines.counting import CountingEngine
from posttrain.loop import Session, finish, start
from posttrain.recipe import Interlude, Later, Workspace, composed
from posttrain.runs import checkpoint, folder, recipe_file
from posttrain.runs.base import measure_base
from posttrain.runs.display import Display
from posttrain.runs.prepare import Prepared, prepare, resolved_spec
from posttrain.runs.problems import RunProblems, read_problems
from posttrain.runs.spec import RunSpec
from posttrain.runs.summary import EVALUATION_KEYS, write_summary
from posttrain.runs.training import evaluate, run_stage, write_report
from posttrain.spent import Spent
from posttrain.stage import Stage


def never() -> bool:
    """Nobody asks the run to stop."""
    return False


def run(
    spec: RunSpec,
    display: Display,
    base: Mapping[str, Any] | None = None,
    problems: RunProblems | None = None,
    stop: Callable[[], bool] = never,
) -> dict[str, Any]:
    """Carry out a run in a new folder.

    Args:
        spec: what to do.
        display: told of progress.
        base: the base's summary if it is known already, so that arms need not measure the same model again; empty
            if it is known for other problems only: then there is no row at step 0.
        problems: those of ``spec`` if they have been read already.
        stop: asked after every step whether to end with a checkpoint, besides Ctrl-C.

    Returns:
        The content of ``summary.json``.

    Raises:
        Interrupted: it was asked to stop.
        UserError: something that the person who started it can mend.
    """
    path = Path(spec.out)
    folder.check_unused(path)
    prepared = prepare(spec, problems or read_problems(spec), display)
    folder.claim(path)
    recipe_file.write(path, resolved_spec(prepared))
    known = dict(base) if base is not None else measure_base(prepared)
    folder.write_json(path / folder.BASE, known)
    if known:
        prepared.journal.evaluation({"step": 0, **{key: known[key] for key in EVALUATION_KEYS}})
    return _train(prepared, known, None, stop)


def resume(path: Path, display: Display, stop: Callable[[], bool] = never) -> dict[str, Any]:
    """Go on with the run in ``path`` from its checkpoint, exactly as if it had never stopped (bit for bit on a CPU).

    Args:
        path: the run's folder.
        display: told of progress.
        stop: as for :func:`run`.

    Returns:
        The content of ``summary.json``.
    """
    folder.put_back(path / folder.CHECKPOINT)
    spec = recipe_file.read(path)
    state = checkpoint.read(path / folder.CHECKPOINT)
    prepared = prepare(spec, read_problems(spec), display, weights=path / folder.CHECKPOINT)
    prepared = dataclasses.replace(prepared, began=time.perf_counter() - state["seconds"])
    stands = checkpoint.standing(state)
    finished = prepared.recipe.steps_before(stands.stage) + stands.step
    prepared.journal.rewind(finished)
    display.say(f"resuming {path} after step {finished} of {prepared.recipe.total_steps}")
    return _train(prepared, folder.read_json(path / folder.BASE), state, stop)


def _train(
    prepared: Prepared, base: Mapping[str, Any], state: Mapping[str, Any] | None, stop: Callable[[], bool]
) -> dict[str, Any]:
    spent = Spent() if state is None else Spent(**state["spent"])
    first = 0 if state is None else checkpoint.standing(state).stage
    session: Session | None = None
    workspace = Workspace(prepared.policy, prepared.engine, prepared.spec.seed)
    if state is not None:
        workspace = checkpoint.restored_workspace(workspace, state)
    prepared.display.begin(prepared.spec.method, prepared.recipe.total_steps)
    for index, part in list(enumerate(prepared.recipe.stages))[first:]:
        if not isinstance(part, Stage | Later):
            workspace = _interlude(prepared, index, part, workspace, spent)
            continue
        session = _session(part, workspace, spent, state if index == first else None)
        run_stage(prepared, session, index, stop)
        finish(session)
        spent = session.spent
    if session is not None and not isinstance(prepared.recipe.stages[-1], Stage | Later):
        _save_the_end(prepared, session)
    evaluate(prepared, prepared.recipe.total_steps)
    summary = write_summary(prepared, spent, base)
    write_report(prepared)
    return summary


def _interlude(prepared: Prepared, index: int, part: Interlude, workspace: Workspace, spent: Spent) -> Workspace:
    """Carry out what stands between stages, charge the run for it, and write down what it counted."""
    prepared.display.say(f"{part.name} …")
    began = time.perf_counter()
    workspace = _charged(part, workspace, spent)
    counted = workspace.notes.get(part.name, {})
    before = prepared.recipe.steps_before(index)
    prepared.journal.interlude(part.name, before, {**counted, "seconds": time.perf_counter() - began})
    if counted:
        prepared.display.say(f"{part.name}: " + ", ".join(f"{name} {value:g}" for name, value in counted.items()))
    return workspace


def _charged(part: Interlude, workspace: Workspace, spent: Spent) -> Workspace:
    """Carry out an interlude and add to ``spent`` what it sampled and passed through the policy.

    It is counted where it happens, in the engine and in the policy, so that no interlude has to report it.
    """
    policy, engine = workspace.policy, workspace.engine
    counting = CountingEngine(engine)
    passed, differentiated = policy.tokens_passed, policy.tokens_differentiated
    done = part.run(dataclasses.replace(workspace, engine=counting))
    written = counting.written
    passed, differentiated = policy.tokens_passed - passed, policy.tokens_differentiated - differentiated
    spent.completions_sampled += written.completions
    spent.tokens_sampled += written.tokens_written
    spent.flops += policy.parameters_count * (2.0 * (passed + written.tokens_passed) + 4.0 * differentiated)
    return dataclasses.replace(done, engine=engine)


def _save_the_end(prepared: Prepared, session: Session) -> None:
    """A recipe may end with arithmetic on weights, after the last stage has written its checkpoint."""
    past_all = dataclasses.replace(session, step=0)
    checkpoint.save(prepared.path / folder.CHECKPOINT, past_all, len(prepared.recipe.stages), prepared.seconds)


def _session(part: Stage | Later, workspace: Workspace, spent: Spent, state: Mapping[str, Any] | None) -> Session:
    """The stage at its beginning, or where the checkpoint was taken."""
    stage = composed(part, workspace)
    session = start(stage, workspace.policy, workspace.seed, workspace.engine, spent, workspace.remembered)
    session.workspace = workspace
    if state is not None:
        checkpoint.restore(session, state)
    return session
