"""One stage of a run: the loop, with evaluations, checkpoints and a report whenever it stops."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from posttrain.errors import UserError
from posttrain.evaluation.accuracy import summarise
from posttrain.loop import NonFinite, Session, StepRecord, train
from posttrain.rewards.failure import VerifierError
from posttrain.runs import checkpoint, folder
from posttrain.runs.divergence import Diverged
from posttrain.runs.interrupts import finish_the_step
from posttrain.runs.prepare import Prepared
from posttrain.spent import TooManyUnscorable
from posttrain.stopwatch import Stopwatch, phase, watching

SHOWN = 3
"""Completions in a table on the terminal."""


class Interrupted(Exception):
    """A person stopped the run; a checkpoint was saved."""


def run_stage(prepared: Prepared, session: Session, index: int, stop: Callable[[], bool]) -> None:
    """Run one stage from where its session stands.

    Args:
        prepared: the run.
        session: the stage's.
        index: which stage of the recipe it is.
        stop: asked after every step, besides Ctrl-C.

    Raises:
        Interrupted: the run was asked to stop before its last step.
        Diverged: a loss, gradient or weight is not finite.
        UserError: too many answers cannot be judged, or the disk is full.
        VerifierError: the verifier raised.
    """
    before = prepared.recipe.steps_before(index)
    total = prepared.recipe.total_steps
    watch = Stopwatch() if prepared.spec.profile else None
    with finish_the_step() as interrupted, watching(watch):

        def after_step(record: StepRecord) -> bool:
            step = before + record.now.step + 1
            row = _write_down(prepared, session, step, record, watch)
            prepared.display.advance(step, _note(row))
            _show_samples(prepared, step)
            if step < total and step % prepared.spec.evaluate_every == 0:
                _refuse_lost_weights(session)
                with watching(None):
                    evaluate(prepared, step)
                _save(prepared, session, index)
            return not (interrupted() or stop())

        try:
            train(session, prepared.runtime, after_step)
            _refuse_lost_weights(session)
        except NonFinite as error:
            kept = _last_good(prepared, session, index)
            write_report(prepared)
            raise Diverged(f"{error}; {kept}") from error
        except (TooManyUnscorable, VerifierError) as error:
            where = _stopped(prepared, session, index)
            if isinstance(error, VerifierError):
                raise  # a fault of the verifier's code, not of anybody's input
            raise UserError(f"{error}; the weights of before that step are in {where}") from error
        reached = before + session.step
        if reached == total:
            _save(prepared, session, index)
        elif interrupted() or stop():
            _stopped(prepared, session, index)
            raise Interrupted(f"stopped after step {reached} of {total}; go on with --resume {prepared.path}")


def _write_down(
    prepared: Prepared, session: Session, step: int, record: StepRecord, watch: Stopwatch | None
) -> dict[str, Any]:
    """Write the step, and if somebody watches where its time went; returns its metrics."""
    began = time.perf_counter()
    with phase("journal"):
        row = prepared.journal.step(session.stage.name, step, record, session.spent)
    if watch is not None:
        seconds = record.seconds + time.perf_counter() - began
        prepared.journal.profile(step, seconds, watch.take(), watch.take_beside())
    return row


def evaluate(prepared: Prepared, step: int) -> None:
    """Answer the evaluation problems greedily and write the row; after the last step also every answer."""
    count = len(prepared.problems.evaluation)

    def on_progress(done: int) -> None:
        prepared.display.advance(step, f"evaluated {done}/{count}")

    answers = [row[0] for row in prepared.answers(1, 0.0, step, on_progress)]
    if step:
        folder.keep_rows_until(prepared.path / folder.EVALUATIONS, step - 1)  # a run that went on evaluates again
    prepared.journal.evaluation({"step": step, **dataclasses.asdict(summarise(answers))})
    if step == prepared.recipe.total_steps:
        rows = [{"step": step, **dataclasses.asdict(answer), "correct": answer.correct} for answer in answers]
        folder.write_rows(prepared.path / folder.HELDOUT, rows)


def write_report(prepared: Prepared) -> None:
    """Write the run's page from what is there."""
    from posttrain.report.run_page import write_run_page

    with folder.disk_errors(prepared.path):
        write_run_page(prepared.path)


def _save(prepared: Prepared, session: Session, index: int) -> Path:
    path = prepared.path / folder.CHECKPOINT
    checkpoint.save(path, session, index, prepared.seconds)
    return path


def _refuse_lost_weights(session: Session) -> None:
    """An update can make weights infinite from a loss that is not; no later checkpoint may hide the good one."""
    if not checkpoint.is_finite(session):
        raise NonFinite(f"a weight is no longer finite after step {session.step} of stage {session.stage.name!r}")


def _stopped(prepared: Prepared, session: Session, index: int) -> Path:
    path = _save(prepared, session, index)
    write_report(prepared)
    return path


def _last_good(prepared: Prepared, session: Session, index: int) -> str:
    """Keep an earlier checkpoint: weights whose loss is not finite are no better. Without one they are all there is.

    Returns:
        What is kept, for a person.
    """
    path = prepared.path / folder.CHECKPOINT
    if path.is_dir():
        return f"the last good checkpoint is kept in {path}"
    if not checkpoint.is_finite(session):
        return "there was no checkpoint yet, and the weights are lost; a smaller learning rate may help"
    return f"the weights of before that update are in {_save(prepared, session, index)}"


def _show_samples(prepared: Prepared, step: int) -> None:
    if step != 1 and step % max(1, prepared.recipe.total_steps // 4):
        return
    rows = folder.read_rows(prepared.path / folder.ROLLOUTS)
    sampled = [row for row in rows if row["step"] == step and row["ended"] != "given"]
    prepared.display.samples(step, sampled[:: max(1, len(sampled) // SHOWN)][:SHOWN])


def _note(row: Mapping[str, Any]) -> str:
    parts = []
    if row["reward"] == row["reward"]:
        parts.append(f"reward {row['reward']:.3f}")
    if row["hint_fraction"] == row["hint_fraction"] and 0 < row["hint_fraction"] < 1:
        parts.append(f"hint {row['hint_fraction']:.0%}")
    losses = [f"{name.removeprefix('loss/')} {value:.3f}" for name, value in row.items() if name.startswith("loss/")]
    return " · ".join(parts or losses[:1])
