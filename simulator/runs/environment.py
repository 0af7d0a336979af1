"""What the bits of a run depend on besides its settings."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["changes", "environment"]

DECISIVE = ("numpy", "numba", "scipy", "blas", "machine", "processor")


def environment(threads: int) -> dict[str, Any]:
    """Return versions, processor, BLAS and threads, as plain data."""
    import numba
    import scipy
    import threadpoolctl

    from simulator import __version__
    blas = sorted({f"{pool.get('internal_api')} {pool.get('version')} {pool.get('architecture')}"
                   for pool in threadpoolctl.threadpool_info() if pool.get("user_api") == "blas"})
    return {"version": __version__, "python": platform.python_version(),
            "numpy": np.__version__, "numba": numba.__version__, "scipy": scipy.__version__,
            "blas": blas, "machine": platform.machine(), "processor": _processor(),
            "cores": os.cpu_count(), "threads": threads, "system": platform.system()}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say which versions and machine parts differ in a way that can change bits; "" if none."""
    return ", ".join(f"{name} {before[name]} -> {now[name]}" for name in DECISIVE
                     if name in before and before[name] != now[name])


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except (OSError, ValueError):
        pass
    return platform.processor() or "unknown"
