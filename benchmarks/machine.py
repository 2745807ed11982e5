"""What a result has to say about where it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def facts(cores: Collection[int]) -> dict[str, Any]:
    """Processor, system and state of the repository.

    Args:
        cores: that the contestants may use.
    """
    processor = _first("/proc/cpuinfo", "model name")
    flags = set(_first("/proc/cpuinfo", "flags").split())
    return {
        "processor": processor or platform.processor() or platform.machine(),
        "extensions": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "cores_used": len(cores),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": _commit(),
        "load": os.getloadavg()[0],
    }


def _first(path: str, key: str) -> str:
    """The value of the first line ``key: value``; empty if the system has no such file."""
    file = Path(path)
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _commit() -> str:
    """The commit, with a plus if files differ from it."""
    asked = [
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
        for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "src", "benchmarks/*.py"))
    ]
    return asked[0] + ("+" if asked[1] else "")
