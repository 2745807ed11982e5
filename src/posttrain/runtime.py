"""Where and how precisely the numbers are computed, and how ranks agree: the only file that knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from posttrain.errors import UserError
from posttrain.heap import keep_freed_memory

Precision = Literal["auto", "float32", "bfloat16"]
Layers = Literal["eager", "compiled"]
CPU_TOKENS_AT_ONCE = 8192
"""Larger micro-batches hold more memory at a time."""


@dataclass(frozen=True)
class LocalRuntime:
    """One process, one device.

    Args:
        device: where the policy lives.
        autocast: dtype of matrix products, ``None`` for the weights' own.
        layers: of models that are loaded: as they are written, or compiled by torch for training passes.
    """

    device: torch.device
    autocast: torch.dtype | None
    layers: Layers = "eager"

    def total(self, number: float) -> float:
        """The sum over ranks: this rank's number."""
        return number

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients."""
        loss.backward()  # type: ignore[no-untyped-call]

    def tokens_at_once(self, budget: int) -> int:
        """How many tokens of at most ``budget`` to pass in one micro-batch; changes rounding only."""
        return min(budget, CPU_TOKENS_AT_ONCE) if self.device.type == "cpu" else budget

    def gradient_norm(self, parameters: Sequence[nn.Parameter], clip_norm: float) -> float:
        """Cut the gradient's 2-norm at ``clip_norm`` and return what it was."""
        return float(nn.utils.clip_grad_norm_(parameters, clip_norm))


def local_runtime(precision: Precision = "auto", device: str | None = None, layers: Layers = "eager") -> LocalRuntime:
    """Choose device and precision.

    ``auto`` computes in bfloat16 where the hardware multiplies it: on a GPU that has it, on a CPU with AMX
    tiles or AVX-512 BF16. Elsewhere it computes in float32. Weights and optimiser state are float32 in every case.
    On a CPU the process keeps the memory that it frees (:func:`posttrain.heap.keep_freed_memory`).

    Raises:
        UserError: there is no such precision, or no such kind of layers.
    """
    for name, word, words in (("precision", precision, Precision), ("layers", layers, Layers)):
        if word not in get_args(words):
            raise UserError(f"{name} cannot be {word!r}; choose one of {', '.join(get_args(words))}")
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if precision == "auto":
        multiplies = _gpu_multiplies_bfloat16 if chosen.type == "cuda" else _cpu_multiplies_bfloat16
        precision = "bfloat16" if multiplies() else "float32"
    if chosen.type == "cpu":
        keep_freed_memory()
    return LocalRuntime(chosen, torch.bfloat16 if precision == "bfloat16" else None, layers)


def _gpu_multiplies_bfloat16() -> bool:
    """Older GPUs emulate bfloat16, which is slower than float32."""
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_multiplies_bfloat16() -> bool:
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
