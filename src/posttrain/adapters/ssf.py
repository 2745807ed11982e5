"""Scaling and shifting of features: a factor and an offset per channel after every operation of a frozen model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from posttrain.adapters.layers import is_transposed, leave_undecayed, linear_layers, norms, widths
from posttrain.errors import UserError
from posttrain.policy import Policy
from posttrain.types import Progress

SCALE, SHIFT = "ssf_scale", "ssf_shift"
"""Names of the trained parameters within the modules whose output they change."""

SPREAD = 0.02
"""Standard deviation of scales and shifts at first (released code)."""

FOLDING = 1e-3
"""How far, relative to the largest logit, folded weights may compute something else: float32 in deep models."""

READERS = {
    "input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj"),
}
"""Norms of Llama and its relatives, and the layers beside them that read what they write."""


@dataclass(frozen=True, eq=False)
class Point:
    """A module whose output is scaled and shifted.

    Args:
        name: of the module within the model.
        module: the module.
        width: channels.
        shifted: whether a shift is added.
        readers: names of the layers whose bias takes the shift, where the module itself has none.
    """

    name: str
    module: nn.Module
    width: int
    shifted: bool
    readers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ssf:
    """SSF (2210.08823): ``scale * x + shift`` per channel of x, folded into the weights when the stage ends.

    It stands after the embeddings, every norm, and every linear layer but the output head, so after queries, keys and
    values before they are rotated. The paper is about vision transformers; these places are our reading of it for
    language models. Embeddings that are also the output head are left out, since the head could not fold. Neither
    scales nor shifts are decayed (released code: one-dimensional parameters are not).

    A shift folds into a bias: of the layer itself, or after a norm without bias of every layer that reads the norm.
    Where a model has no such bias (most layers of Llama) a shift cannot be written in its format.

    Args:
        start: ``published``, scales around 1 and shifts around 0 with standard deviation 0.02, which changes the model
            a little before the first step; or ``identity``.
        shift: ``foldable``, where the model has the biases; ``all``, everywhere, refused by models that lack them; or
            ``none``, which leaves scales alone as in (IA)^3.
        places: the kinds of modules after which it stands.
    """

    start: Literal["published", "identity"] = "published"
    shift: Literal["foldable", "all", "none"] = "foldable"
    places: tuple[Literal["embeddings", "norms", "linear"], ...] = ("embeddings", "norms", "linear")

    def __post_init__(self) -> None:
        """Refuse an adapter without places."""
        if not self.places:
            raise ValueError("places is empty; leave it out to scale embeddings, norms and linear layers")

    def attach(self, policy: Policy, seed: int, remembered: Mapping[str, Policy]) -> AttachedSsf:
        """Insert scales and shifts, and check once that they fold.

        Raises:
            UserError: a shift has no bias to fold into, there is no such place, or this model's norms or embeddings
                compute something that does not fold.
        """
        model = policy.model
        points = self._points(model)
        before = tuple((p, p.requires_grad) for p in model.parameters())
        model.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        hooks = tuple(_insert(point, generator) for point in points)
        attached = AttachedSsf(model, tuple(points), hooks, before)
        if not _folds(policy, attached):
            attached.remove()
            raise UserError(
                f"scales do not fold into a {type(model).__name__}, which computes its norms or embeddings in another "
                "way; keep to linear layers with --set stage.adapter.places=[linear]"
            )
        if self.start == "identity":
            with torch.no_grad():
                for point in points:
                    point.module.get_parameter(SCALE).fill_(1.0)
                    if point.shifted:
                        point.module.get_parameter(SHIFT).zero_()
        return attached

    def _points(self, model: Any) -> list[Point]:
        linear = linear_layers(model)
        points: list[Point] = []
        embedding = model.get_input_embeddings()
        if "embeddings" in self.places and model.get_output_embeddings().weight is not embedding.weight:
            name = next(name for name, module in model.named_modules() if module is embedding)
            points.append(Point(name, embedding, int(embedding.weight.shape[-1]), self.shift != "none"))
        if "norms" in self.places:
            points += [self._norm(model, name, norm, linear) for name, norm in norms(model).items()]
        if "linear" in self.places:
            points += [
                Point(name, layer, widths(layer)[1], self._shifted(model, name, _has_bias(layer)))
                for name, layer in linear.items()
            ]
        if not points:
            raise UserError(f"a {type(model).__name__} has none of the places {', '.join(self.places)}; name others")
        return points

    def _norm(self, model: Any, name: str, norm: nn.Module, linear: Mapping[str, nn.Module]) -> Point:
        width = int(norm.get_parameter("weight").shape[-1])
        if _has_bias(norm):
            return Point(name, norm, width, self.shift != "none")
        layer, _, own = name.rpartition(".")
        readers = tuple(f"{layer}.{reader}" for reader in READERS.get(own, ()))
        foldable = bool(readers) and all(reader in linear and _has_bias(linear[reader]) for reader in readers)
        return Point(name, norm, width, self._shifted(model, name, foldable), readers)

    def _shifted(self, model: Any, name: str, foldable: bool) -> bool:
        if self.shift == "all" and not foldable:
            raise UserError(
                f"a shift after {name!r} folds into a bias that a {type(model).__name__} like this does not have; "
                "use shift=foldable, or begin with a model that has these biases"
            )
        return foldable and self.shift != "none"


@dataclass(frozen=True, eq=False)
class AttachedSsf:
    """Scales and shifts at work, as parameters of the modules whose output they change.

    Args:
        model: the adapted one.
        points: where they stand; norms come before the layers that read them.
        hooks: what applies them.
        before: the model's own parameters, and whether they could be trained before.
    """

    model: Any
    points: tuple[Point, ...]
    hooks: tuple[torch.utils.hooks.RemovableHandle, ...]
    before: tuple[tuple[nn.Parameter, bool], ...]

    def before_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Keep weight decay away from scales and shifts."""
        leave_undecayed(optimiser, (p for p in self.model.parameters() if p.requires_grad))

    def after_update(self, optimiser: torch.optim.Optimizer, now: Progress) -> None:
        """Nothing."""

    def plain_weights(self) -> dict[str, Tensor]:
        """Scales times weights, shifts in biases."""
        weights: dict[str, Tensor] = dict(self.model.state_dict())
        linear = linear_layers(self.model)
        # Norms first: what they shift is a layer's input, which that layer's own scale multiplies.
        for point in self.points:
            scale = weights.pop(f"{point.name}.{SCALE}")
            shift = weights.pop(f"{point.name}.{SHIFT}", None)
            readers = {name: linear[name] for name in point.readers}
            _fold(weights, point, scale, shift, readers)
        return weights

    def merge(self) -> None:
        """Give the model its folded weights, without scales and shifts."""
        weights = self.plain_weights()
        self.remove()
        self.model.load_state_dict(weights)

    def remove(self) -> None:
        """Take scales and shifts out, unfolded."""
        for hook in self.hooks:
            hook.remove()
        for point in self.points:
            delattr(point.module, SCALE)
            delattr(point.module, SHIFT)
        for parameter, trainable in self.before:
            parameter.requires_grad_(trainable)

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the model's parameters."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing."""


def _has_bias(module: nn.Module) -> bool:
    return "bias" in dict(module.named_parameters(recurse=False))


def _insert(point: Point, generator: torch.Generator) -> torch.utils.hooks.RemovableHandle:
    """Register scale and shift in the module, so that they are named, saved and moved with it."""
    like = point.module.get_parameter("weight")
    drawn = SPREAD * torch.randn(2, point.width, generator=generator)
    scale, shift = drawn.to(like.device, like.dtype)
    point.module.register_parameter(SCALE, nn.Parameter(1 + scale))
    point.module.register_parameter(SHIFT, nn.Parameter(shift.clone()) if point.shifted else None)
    return point.module.register_forward_hook(_rescaled)


def _rescaled(module: nn.Module, inputs: Sequence[Tensor], output: Tensor) -> Tensor:
    """Float["... d"] -> Float["... d"]; reads the parameters of the module that ran, so that copies have their own."""
    scale, shift = getattr(module, SCALE), getattr(module, SHIFT)
    rescaled: Tensor = output * scale if shift is None else output * scale + shift
    return rescaled.to(output.dtype)


def _fold(
    weights: dict[str, Tensor], point: Point, scale: Tensor, shift: Tensor | None, readers: Mapping[str, nn.Module]
) -> None:
    """Replace the weights of one module, and the biases of the layers that read it."""
    weight, bias = f"{point.name}.weight", f"{point.name}.bias"
    rows = isinstance(point.module, nn.Linear)  # elsewhere channels are the last dimension
    weights[weight] = weights[weight] * (scale[:, None] if rows else scale)
    if bias in weights:
        weights[bias] = weights[bias] * scale
    if shift is None:
        return
    if isinstance(point.module, nn.Embedding):
        weights[weight] = weights[weight] + shift
    elif not readers:
        weights[bias] = weights[bias] + shift
    for name, layer in readers.items():
        read = weights[f"{name}.weight"]
        weights[f"{name}.bias"] = weights[f"{name}.bias"] + shift @ (read if is_transposed(layer) else read.T)


def _folds(policy: Policy, attached: AttachedSsf) -> bool:
    """Whether the plain weights compute what the scaled and shifted model does, on one short text."""
    tokens = torch.arange(4, device=policy.device)[None] % int(policy.model.config.vocab_size)
    neutral = {
        f"{point.name}.{kind}": torch.full_like(point.module.get_parameter(kind), value)
        for point in attached.points
        for kind, value in ((SCALE, 1.0), *(((SHIFT, 0.0),) if point.shifted else ()))
    }
    with torch.no_grad():
        scaled = policy.model(input_ids=tokens, use_cache=False).logits
        call = {"input_ids": tokens, "use_cache": False}
        plain = attached.plain_weights()
        named = {name: plain[name] for name, _ in policy.model.named_parameters() if name in plain}  # tied ones once
        folded = torch.func.functional_call(policy.model, {**named, **neutral}, kwargs=call).logits
    return float((folded - scaled).abs().max()) <= FOLDING * float(scaled.abs().max())
