import resource
import sys

import pytest
import torch

from posttrain.heap import keep_freed_memory

MIB = 2**20


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(sys.platform != "linux", reason="another allocator")
def test_blocks_that_were_freed_are_not_fetched_anew() -> None:
    if not keep_freed_memory():
        pytest.skip("another C library")
    for _ in range(2):
        blocks = [torch.ones(8 * MIB) for _ in range(4)]
        del blocks
    before = faults()
    blocks = [torch.ones(8 * MIB) for _ in range(4)]
    pages = 4 * 8 * MIB * 4 // resource.getpagesize()
    assert len(blocks) == 4
    assert faults() - before < pages // 10
