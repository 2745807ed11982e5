"""Save and resume every stateful part: weights, optimiser, frozen policies, counters, where the run stands.

The folder is in Hugging Face format and loads with ``AutoModelForCausalLM``; beside the weights ``heads.safetensors``
holds those of heads, if there are any, and ``trainer.pt`` the rest. Randomness needs no state, because it is keyed by
seed and step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from posttrain.errors import UserError
from posttrain.frozen import FromFolder
from posttrain.heads import read_heads, save_heads
from posttrain.loop import Session, fresh_optimiser
from posttrain.policy import Policy
from posttrain.protocols import Attached
from posttrain.recipe import Workspace
from posttrain.runs import made_examples
from posttrain.runs.folder import replaced_folder
from posttrain.spent import Spent

TRAINER = "trainer.pt"
FULL = 1 << 16
"""Free bytes below which a disk on which writing has just failed is taken to be full."""


@dataclass(frozen=True)
class Standing:
    """Where a checkpoint was taken: the stage's index in the recipe, and its finished steps."""

    stage: int
    step: int


def is_finite(session: Session) -> bool:
    """Whether every weight is a finite number, those of heads included."""
    heads = [p for head in session.policy.heads.values() for p in head.parameters()]
    return all(bool(torch.isfinite(p).all()) for p in (*session.policy.trainable(), *heads))


def save(folder: Path, session: Session, stage: int, seconds: float) -> None:
    """Write a checkpoint, replacing the one before it only when it is complete.

    Args:
        folder: of the checkpoint.
        session: of the stage in progress.
        stage: its index in the recipe.
        seconds: how long the run has taken so far.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    with replaced_folder(folder) as temporary, _full_disk_as_os_error(temporary):
        save_model(temporary, session.policy, session.adapter)
        state = {
            "stage": stage,
            "step": session.step,
            "seconds": seconds,
            "optimiser": session.optimiser.state_dict(),
            "adapter": _adapter_state(session),
            **_workspace_state(session.workspace),
            "selection": {} if session.selection is None else session.selection.state_dict(),
            **_frozen_state(session),
            "spent": dataclasses.asdict(session.spent),
        }
        torch.save(state, temporary / TRAINER)


@contextlib.contextmanager
def _full_disk_as_os_error(folder: Path) -> Iterator[None]:
    """The writers of torch and safetensors raise errors of their own that do not say why the disk refused."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        if shutil.disk_usage(folder).free < FULL:
            raise OSError(errno.ENOSPC, "no space left") from error
        raise


def _frozen_state(session: Session) -> dict[str, Any]:
    """The weights of frozen policies; of those that are read from their folder again only what tells them apart."""
    kept, loaded = {}, {}
    for name, policy in session.frozen.items():
        if isinstance(session.stage.frozen[name], FromFolder):
            loaded[name] = _digest(policy)
        else:
            kept[name] = policy.model.state_dict()
    return {"frozen": kept, "loaded": loaded}


def _digest(policy: Policy) -> dict[str, int]:
    """By the names of weights the sums of their bytes, which no order of summation changes."""
    state = policy.model.state_dict()
    return {name: int(value.flatten().view(torch.uint8).sum(dtype=torch.int64)) for name, value in state.items()}


def _adapter_state(session: Session) -> dict[str, Any]:
    """The adapted model as it is: folding an adapter into the weights cannot be undone exactly."""
    if session.adapter is None:
        return {}
    return {"model": session.policy.model.state_dict(), "attached": session.adapter.state_dict()}


def _workspace_state(workspace: Workspace | None) -> dict[str, Any]:
    """What the recipe has made so far: weights, and data sets as text."""
    remembered = {} if workspace is None else workspace.remembered
    examples = {} if workspace is None else workspace.examples
    return {
        "remembered": {name: p.model.state_dict() for name, p in remembered.items()},
        "examples": {name: made_examples.as_text(made) for name, made in examples.items()},
    }


def restored_workspace(workspace: Workspace, state: Mapping[str, Any]) -> Workspace:
    """A fresh workspace with what the saved one had made."""
    for name, weights in state["remembered"].items():
        policy = workspace.policy.frozen_copy()
        policy.model.load_state_dict(weights)
        workspace = workspace.keeping(name, policy)
    for name, text in state["examples"].items():
        workspace = workspace.with_examples(name, made_examples.from_text(text))
    return workspace


def save_model(folder: Path, policy: Policy, adapter: Attached | None = None) -> None:
    """Write weights and tokenizer in Hugging Face format, an adapter folded into the weights, and heads beside them."""
    weights = None if adapter is None else adapter.plain_weights()
    policy.model.save_pretrained(folder, state_dict=weights)
    save_heads(folder, policy.heads)
    policy.text.tokenizer.save_pretrained(folder)


def read(folder: Path) -> dict[str, Any]:
    """All of a checkpoint but the model, in main memory: :func:`restore` copies it to where the policy is.

    Raises:
        UserError: there is none.
    """
    path = folder / TRAINER
    if not path.is_file():
        raise UserError(f"{str(folder)!r} holds no checkpoint to resume from; start the run again with another --out")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return {"heads": read_heads(folder), **state}


def standing(state: Mapping[str, Any]) -> Standing:
    """Where the checkpoint was taken."""
    return Standing(int(state["stage"]), int(state["step"]))


def restore(session: Session, state: Mapping[str, Any]) -> None:
    """Put a session, freshly started from the checkpoint's weights, where the saved one stood.

    Raises:
        UserError: a frozen policy that was read from its folder again is not the one of before.
    """
    session.step = int(state["step"])
    session.spent = Spent(**state["spent"])
    if session.adapter is not None:
        session.adapter.load_state_dict(state["adapter"]["attached"])
        session.policy.model.load_state_dict(state["adapter"]["model"])
        session.optimiser = fresh_optimiser(session.stage, session.policy)  # what is trained may be other parameters
    session.optimiser.load_state_dict(state["optimiser"])
    for name, head in session.policy.heads.items():
        head.load_state_dict(state["heads"][name])
    if session.selection is not None:
        session.selection.load_state_dict(state["selection"])
    for name, weights in state["frozen"].items():
        session.frozen[name].model.load_state_dict(weights)
    for name, digest in state["loaded"].items():
        if _digest(session.frozen[name]) != digest:
            raise UserError(
                f"the folder of the frozen policy {name!r} holds other weights than when the run was stopped; "
                "put the old ones back, or start the run again with another --out"
            )
