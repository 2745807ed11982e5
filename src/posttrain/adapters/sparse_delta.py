"""Training a few entries of a parameter: where they stand, and how far they have moved.

A :class:`SparseDelta` holds positions, the entries as they were, and the trained changes: three numbers per entry and
nothing of the parameter's size. The weight that the model computes with is the parameter itself, into which the
changes have been written, so a pass costs and keeps no more than one of the plain model; only the gradient of the
whole weight exists for a moment in the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class SparseDelta(nn.Module):
    """Parametrises a weight: some of its entries are ``base + values``, the others are what they are.

    Args:
        weight: Float[...], of any shape.
        indices: Int["k"], different positions in the flattened weight.

    ``values`` (Float["k"], zeros at first) is what is trained. ``watch``, where it is set, gathers the gradient of the
    weight at other entries too.
    """

    indices: Tensor
    base: Tensor

    def __init__(self, weight: Tensor, indices: Tensor) -> None:
        super().__init__()
        self.register_buffer("indices", indices.clone())
        self.register_buffer("base", weight.detach().flatten()[indices])
        self.values = nn.Parameter(torch.zeros_like(self.base))
        self.watch: Watch | None = None
        self._written: tuple[Tensor, int] | None = None

    # Not to be compiled: which version of the values is written would be another program in every update.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, weight: Tensor) -> Tensor:
        """The weight to compute with, in its shape."""
        if not self._is_written():  # moved since, or other values put in their place for one pass
            whole = weight.flatten().index_put((self.indices,), self.base + self.values).view_as(weight)
        elif torch.is_grad_enabled():
            whole = _Entries.apply(weight, self.values, self.indices)  # type: ignore[no-untyped-call]
        else:
            whole = weight
        if self.watch is not None and whole.requires_grad:
            whole = self.watch.beside(whole)
        return whole

    @torch.no_grad()
    def write(self, weight: Tensor) -> None:
        """Bring the weight up to date with the values, in place."""
        weight.view(-1)[self.indices] = self.base + self.values
        self._written = (self.values, self.values._version)

    @torch.no_grad()
    def replace(self, weight: Tensor, slots: Tensor, indices: Tensor) -> None:
        """Let entries go and train others in their place.

        Args:
            weight: gets the dropped entries back as they were.
            slots: Int["n"], which entries of this delta.
            indices: Int["n"], positions in the flattened weight that no other entry has; their changes begin at 0.
        """
        flat = weight.view(-1)
        flat[self.indices[slots]] = self.base[slots]
        self.indices[slots] = indices
        self.base[slots] = flat[indices]
        self.values[slots] = 0.0
        self.write(weight)

    def _is_written(self) -> bool:
        # The version counts changes in place, so nothing that moves the values can be missed.
        return (
            self._written is not None and self._written[0] is self.values and self._written[1] == self.values._version
        )

    def __getstate__(self) -> dict[str, Any]:
        # A copy has other values, which nobody watches, with a version of their own.
        return {**self.__dict__, "watch": None, "_written": None}


class Watch:
    """Gathers the gradient of a weight, where an update's backward passes leave theirs: in the ``grad`` of a leaf.

    What a part differentiates on the side with ``torch.autograd.grad`` is therefore not in it, and belongs to no
    update.

    Args:
        weight: Float[...], of any shape.
        indices: Int["k"], the entries that are watched, flattened; ``None``: all of them.
    """

    def __init__(self, weight: Tensor, indices: Tensor | None = None) -> None:
        self._indices = indices
        count = weight.numel() if indices is None else len(indices)
        # Nobody reads its numbers, so that one stands for all of them.
        self._leaf = weight.new_zeros(()).expand(count).requires_grad_()

    def beside(self, whole: Tensor) -> Tensor:
        """The same weight, whose gradient is gathered on its way."""
        return _Watched.apply(whole, self._leaf, self._indices)  # type: ignore[no-any-return, no-untyped-call]

    def take(self) -> Tensor | None:
        """Float["k"]: what was gathered since the last time, ``None`` if there was no pass."""
        gradient, self._leaf.grad = self._leaf.grad, None
        return gradient


class _Watched(torch.autograd.Function):
    """The weight as it is, with a second place for its gradient."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, leaf: Tensor, indices: Tensor | None) -> Tensor:
        ctx.indices = indices
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        if not ctx.needs_input_grad[1]:
            return gradient, None, None
        flat = gradient.flatten()
        return gradient, flat.clone() if ctx.indices is None else flat[ctx.indices], None


class _Entries(torch.autograd.Function):
    """The weight as it is, as a function of the entries that have been written into it."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, values: Tensor, indices: Tensor) -> Tensor:
        ctx.save_for_backward(indices)
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        (indices,) = ctx.saved_tensors
        return None, gradient.flatten()[indices], None


@dataclass(frozen=True, eq=False)
class Owner:
    """Where a parameter stands in a model.

    Args:
        module: has it as its own.
        path: the module's name.
        attribute: the parameter's name in the module.
        order: the names of all parameters of its own.
    """

    module: nn.Module
    path: str
    attribute: str
    order: tuple[str, ...]

    @property
    def name(self) -> str:
        """The parameter's name in the model's state."""
        return f"{self.path}.{self.attribute}" if self.path else self.attribute


@dataclass(frozen=True, eq=False)
class SparseDeltas:
    """Sparse deltas on some parameters of a model, everything else frozen: what a sparse adapter has attached.

    Args:
        model: the model.
        deltas: by the name of the parameter.
        weights: the parameters themselves, which hold the adapted numbers.
        owners: by the name of the parameter; a tied one has several.
        trainable: which of the model's parameters could be trained before.
    """

    model: nn.Module
    deltas: Mapping[str, SparseDelta]
    weights: Mapping[str, nn.Parameter]
    owners: Mapping[str, tuple[Owner, ...]]
    trainable: Mapping[str, bool]

    def write(self) -> None:
        """Bring every weight up to date with its values; to be done after every update."""
        for name, delta in self.deltas.items():
            delta.write(self.weights[name])

    def write_when_loaded(self) -> None:
        """Do that once, as soon as the model has loaded another state."""

        def loaded(model: nn.Module, incompatible: object) -> None:
            self.write()
            once.remove()

        once = self.model.register_load_state_dict_post_hook(loaded)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def plain_weights(self) -> dict[str, Tensor]:
        """The state of the model as it was built, with the changes in its weights; nothing is changed."""
        own = tuple(f"{o.path}.".lstrip(".") + f"parametrizations.{o.attribute}." for o in self._all_owners)
        weights = {name: value for name, value in self.model.state_dict().items() if not name.startswith(own)}
        for name, delta in self.deltas.items():
            whole = delta(self.weights[name]).detach()
            weights |= {owner.name: whole for owner in self.owners[name]}
        return weights

    def merge(self) -> None:
        """Leave the changes in the weights and the model as it was built, its parameters in their old order."""
        self.write()
        for owner in self._all_owners:
            parametrize.remove_parametrizations(owner.module, owner.attribute, leave_parametrized=False)
        for owner in self._all_owners:
            for attribute in owner.order:  # optimisers know parameters by their place
                parameter = getattr(owner.module, attribute)
                delattr(owner.module, attribute)
                owner.module.register_parameter(attribute, parameter)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.trainable[name])

    @property
    def _all_owners(self) -> list[Owner]:
        return [owner for owners in self.owners.values() for owner in owners]


def attach_deltas(model: nn.Module, indices: Mapping[str, Tensor]) -> SparseDeltas:
    """Let some entries of a model be trained, and nothing else.

    Args:
        model: changed in place.
        indices: by the name of a parameter, Int["k"] different positions in it, flattened.
    """
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    weights = {name: p for name, p in model.named_parameters() if name in indices}
    owners = {name: _owners(model, p) for name, p in weights.items()}
    model.requires_grad_(False)
    deltas = {name: SparseDelta(p, indices[name]) for name, p in weights.items()}
    for name, delta in deltas.items():
        for owner in owners[name]:
            parametrize.register_parametrization(owner.module, owner.attribute, delta)
    attached = SparseDeltas(model, deltas, weights, owners, trainable)
    attached.write()
    return attached


def _owners(model: nn.Module, parameter: nn.Parameter) -> tuple[Owner, ...]:
    found = []
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False, remove_duplicate=False))
        found += [Owner(module, path, name, tuple(own)) for name, value in own.items() if value is parameter]
    return tuple(found)


def largest(scores: Tensor, count: int) -> Tensor:
    """Float["n"] -> Int["count"], ascending: where the largest are; exactly as many, of equal ones the first."""
    if count == 0:
        return torch.zeros(0, dtype=torch.long, device=scores.device)
    threshold = scores.kthvalue(len(scores) - count + 1).values
    above, equal = (scores > threshold).nonzero()[:, 0], (scores == threshold).nonzero()[:, 0]
    return torch.cat([above, equal[: count - len(above)]]).sort().values
