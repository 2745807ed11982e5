"""Freed memory stays with the process, instead of being fetched from the system page by page in every pass."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEEP_ALL = -1
APART = (2**26, 2**25)
"""Bytes from which a block is mapped by itself and goes back when freed: 64 MiB, or the 32 MiB of older glibc."""


def keep_freed_memory() -> bool:
    """Tell the allocator of this process to keep what is freed, blocks of over 64 MiB apart.

    By default glibc maps large blocks afresh and gives the end of its heap back, so that the tensors of every layer
    begin as pages that the system has to clear; ``benchmarks/decisions.py`` measures what that costs. What was held
    once stays held, and where sizes grow while small tensors stay between them, their gaps are held as well; so blocks
    of the size of a large vocabulary's logits are left out.

    Returns:
        Whether glibc took it; without glibc nothing is done. A process in which another allocator stands before glibc's
        does not notice.
    """
    return any(set_option(MMAP_THRESHOLD, size) for size in APART) and set_option(TRIM_THRESHOLD, KEEP_ALL)


def set_option(option: int, size: int) -> bool:
    """Set one of the allocator's thresholds, in bytes, and say whether there is such an allocator and it took it."""
    if sys.platform != "linux":
        return False
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return False  # another C library, with an allocator of its own
    return bool(library.mallopt(option, size))
