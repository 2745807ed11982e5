"""Where in a model adapters go: its linear layers and its norms, and what weight decay must leave alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from posttrain.errors import UserError

Targets = Literal["linear", "usual"] | tuple[str, ...]
"""``linear``: every linear layer but the output head; ``usual``: those that peft's table lists for the model's type;
or layers by the ends of their names, such as ``q_proj`` or ``mlp.c_proj``."""


def refuse_idle(rank: int, alpha: float, targets: Targets) -> None:
    """Refuse a change of low rank that would change nothing.

    Raises:
        ValueError: a rank below 1, an alpha of 0 or less, or no layer.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, got {rank}")
    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    if not targets:
        raise ValueError("targets names no layer; leave it out to adapt every linear layer")


def linear_layers(model: Any) -> dict[str, nn.Module]:
    """Every linear layer but the output head, by its full name; GPT-2's ``Conv1D`` is one."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear | Conv1D) and m is not head}


def is_transposed(layer: nn.Module) -> bool:
    """Whether its weight is Float["in out"], as GPT-2's is, and not Float["out in"]."""
    return not isinstance(layer, nn.Linear)


def widths(layer: nn.Module) -> tuple[int, int]:
    """Numbers that a linear layer reads and writes."""
    weight = layer.get_parameter("weight")
    rows, columns = weight.shape
    return (rows, columns) if is_transposed(layer) else (columns, rows)


def norms(model: Any) -> dict[str, nn.Module]:
    """Every norm that has weights, by its full name; norms are known by the names of their classes."""
    found = {name: m for name, m in model.named_modules() if type(m).__name__.endswith(("RMSNorm", "LayerNorm"))}
    return {name: norm for name, norm in found.items() if "weight" in dict(norm.named_parameters(recurse=False))}


def targeted(model: Any, targets: Targets, usual: Mapping[str, Sequence[str] | str]) -> dict[str, nn.Module]:
    """The linear layers that are meant, by their full names.

    Args:
        model: whose layers.
        targets: which ones.
        usual: model type -> ends of names.

    Raises:
        UserError: the table does not know the model's type, or no layer has one of the names.
    """
    layers = linear_layers(model)
    if targets == "linear":
        return layers
    ends = usual.get(str(model.config.model_type)) if targets == "usual" else targets
    if ends is None or isinstance(ends, str):
        kind = type(model).__name__
        raise UserError(f"there is no usual choice of layers for a {kind}; name some, as in targets=[{_ends(layers)}]")
    return {name: layer for end in ends for name, layer in _ending(layers, end).items()}


def plain_layers(model: Any, targets: Targets, usual: Mapping[str, Sequence[str] | str]) -> dict[str, nn.Module]:
    """The targeted layers, for what knows weights of the form Float["out in"] only.

    Raises:
        UserError: as for :func:`targeted`, or a layer's weight is transposed.
    """
    layers = targeted(model, targets, usual)
    for name, layer in layers.items():
        if is_transposed(layer):
            raise UserError(
                f"{name!r} is a {type(layer).__name__}, which this adapter does not know; lora, vera, ia3 and ssf do"
            )
    return layers


def _ending(layers: Mapping[str, nn.Module], end: str) -> dict[str, nn.Module]:
    found = {name: layer for name, layer in layers.items() if f".{name}".endswith(f".{end}")}
    if not found:
        raise UserError(f"no linear layer is called {end!r}; the model has {_ends(layers)}")
    return found


def _ends(layers: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in layers))


def leave_undecayed(optimiser: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
    """Turn weight decay off where all of these, and nothing else, are optimised.

    Decay pulls towards 0, which for a factor is not where it began.
    """
    own = {id(parameter) for parameter in parameters}
    for group in optimiser.param_groups:
        if {id(parameter) for parameter in group["params"]} == own:
            group["weight_decay"] = 0.0
