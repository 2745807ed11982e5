"""Where and how much at once is computed."""

import pytest
import torch

from posttrain.errors import UserError
from posttrain.runtime import CPU_TOKENS_AT_ONCE, LocalRuntime, local_runtime


def test_a_processor_passes_no_more_tokens_at_once_than_its_caches_hold() -> None:
    cpu, gpu = (LocalRuntime(torch.device(kind), None) for kind in ("cpu", "cuda"))
    assert cpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE
    assert cpu.tokens_at_once(100) == gpu.tokens_at_once(100) == 100
    assert gpu.tokens_at_once(CPU_TOKENS_AT_ONCE * 2) == CPU_TOKENS_AT_ONCE * 2


@pytest.mark.parametrize("words", [{"layers": "fast"}, {"precision": "float16"}])
def test_a_word_that_means_nothing_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(UserError, match="choose one of"):
        local_runtime(**words)
