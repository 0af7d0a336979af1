"""The one Numba decorator.

A kernel takes arrays and scalars, checks nothing and draws no random number; the public
function above it does. ``fastmath`` is off everywhere: it lets the compiler assume that no
NaN exists, and ``isfinite(inf)`` then says True, so a diverged run would go unnoticed.

Compiled kernels are cached next to their source, or in Numba's own cache folder. Where
neither can be written (read-only install without a home folder) they are compiled anew in
each process instead of failing at import.
"""

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["kernel", "parallel_kernel"]


def _compile(function: Callable, parallel: bool) -> Callable:
    dispatcher: Any = numba.njit(nogil=True, parallel=parallel)(function)
    if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        try:
            dispatcher.enable_caching()
        except RuntimeError:  # "no locator available": nowhere to write
            pass
    return dispatcher


def kernel(function: Callable) -> Callable:
    """Compile a serial kernel. It may only call kernels of its own file (stale caches)."""
    return _compile(function, parallel=False)


def parallel_kernel(function: Callable) -> Callable:
    """Compile a kernel whose ``numba.prange`` iterations write to disjoint places.

    Each output element must be computed by one iteration alone, so that the result does not
    depend on the number of threads. Reductions across iterations are not allowed.
    """
    return _compile(function, parallel=True)
