"""The layers of a model as torch compiles them, inside training passes and nowhere else.

Compiled, what a layer does between its products is a few fused kernels instead of dozens of operations that each read
and write their tensors; ``benchmarks/decisions.py`` measures it. Steps of decoding have other shapes in every turn and
engines of their own, so they see the layers as they are, as do copies of the model and passes without a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch._dynamo.exc import BackendCompilerFailed, FailOnRecompileLimitHit

from posttrain.errors import UserError

LOUD = {"recompile_limit": 32, "fail_on_recompile_limit_hit": True, "skip_nnmodule_hook_guards": False}
"""Under other adapters or for other kinds of batches layers are compiled anew; torch's defaults would in the end leave
them as they are in silence, and overlook hooks that were added since."""


class CompiledLayers:
    """Compiles layers when a pass first needs it, once for layers that are alike.

    Args:
        layers: of one model, on one device.

    Raises:
        UserError: there is nothing to compile with; inside, layers that cannot be compiled, or not often enough.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        _refuse_without_compiler(next(layers[0].parameters()).device.type)
        self._layers = list(layers)
        self._call = torch.compile(_call, dynamic=True)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Inside, the layers are compiled ones."""
        before = [layer.__dict__.get("forward") for layer in self._layers]
        for layer in self._layers:
            layer.__dict__["forward"] = partial(self._call, layer.forward)
        try:
            with torch._dynamo.config.patch(LOUD):
                yield
        except (BackendCompilerFailed, FailOnRecompileLimitHit) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"torch cannot compile the layers ({reason}); choose --layers eager") from error
        finally:
            for layer, forward in zip(self._layers, before):
                layer.__dict__.pop("forward")
                if forward is not None:
                    layer.__dict__["forward"] = forward


def _call(forward: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return forward(*arguments, **named)


def _refuse_without_compiler(device: str) -> None:
    if device == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler as error:
            raise UserError("compiled layers need a C++ compiler; install g++, or choose --layers eager") from error
    else:
        from torch.utils._triton import has_triton

        if not has_triton():
            raise UserError("compiled layers need triton on this device; install it, or choose --layers eager")
