import platform

import pytest
import torch

from posttrain.heap import keep_freed_memory

MIB = 2**20
FLOATS = 2 * MIB
"""Of a block: 8 MiB, which every glibc keeps."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_blocks_that_were_freed_are_not_fetched_anew() -> None:
    resource = pytest.importorskip("resource")
    assert keep_freed_memory()
    for _ in range(4):
        blocks = [torch.ones(FLOATS) for _ in range(8)]
        del blocks
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.ones(FLOATS) for _ in range(8)]
    fetched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert fetched < sum(block.nbytes for block in blocks) // resource.getpagesize() // 2
