"""Where and how much at once is computed."""

import torch

from posttrain.runtime import CPU_TOKENS_AT_ONCE, LocalRuntime


def test_a_processor_passes_no_more_tokens_at_once_than_its_caches_hold() -> None:
    cpu, gpu = (LocalRuntime(torch.device(kind), None) for kind in ("cpu", "cuda"))
    assert cpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE
    assert cpu.tokens_at_once(100) == gpu.tokens_at_once(100) == 100
    assert gpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE * 2
