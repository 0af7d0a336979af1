"""The one Numba decorator, and how many threads compute.

A kernel takes arrays and scalars, checks nothing and draws no random number; the public
function above it does. ``fastmath`` is off everywhere: it lets the compiler assume that no
NaN exists, and ``isfinite(inf)`` then says True, so a diverged run would go unnoticed.

Compiled kernels are cached next to their source, or in Numba's own cache folder. The cache saves
time and nothing else: where no place can be written (read-only install without a home folder),
the disk is full, or a file of it is damaged (a killed process, a full disk), kernels are compiled
anew, with one warning a process.

Kernels copy arrays in loops: to assign an array to a slice, Numba compiles the words of an error
about shapes first, four seconds in each process that compiles anything.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numba
import threadpoolctl
from numba.core.caching import FunctionCache

__all__ = ["fixed_threads", "in_threads", "kernel", "shares", "summing_kernel", "threads"]

LOG = logging.getLogger("purify")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a serial kernel. It may only call kernels of its own file (stale caches)."""
    return _cached(function, numba.njit(nogil=True)(function))


def summing_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel whose sums may be taken in any order: vector instructions, other last bits.

    The order is the compiler's: the same on every call, but not on every processor.
    """
    return _cached(function, numba.njit(nogil=True, fastmath={"reassoc", "contract"})(function))


def _cached(function: Callable[..., Any], dispatcher: Any) -> Callable[..., Any]:
    if not numba.config.DISABLE_JIT:
        with suppress(RuntimeError), _absolute_cache_home():  # "no locator": nowhere to write
            dispatcher.enable_caching()
            dispatcher._cache = _SturdyCache(function)
    compiled: Callable[..., Any] = dispatcher
    return compiled


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Use this many BLAS threads, and as many Numba threads as there are up to it."""
    before = numba.get_num_threads()
    most = numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(threads, most))
    try:
        with threadpoolctl.threadpool_limits(threads):
            yield
    finally:
        numba.set_num_threads(before)


def threads() -> int:
    """Return how many threads kernels share their work between: see `fixed_threads`."""
    return int(numba.get_num_threads())


def shares(items: int, least: int = 1) -> list[tuple[int, int]]:
    """Return the bounds [first, last) of an equal share of the items for each thread.

    Parameters
    ----------
    items : int
    least : int
        Items below which a further thread is not worth waking.
    """
    number = max(1, min(threads(), items // max(1, least)))
    ends = [items * place // number for place in range(number + 1)]
    return list(zip(ends[:-1], ends[1:]))


def in_threads(work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return ``[work(*a) for a in arguments]``, the calls side by side.

    For kernels, which hold no lock. The first call is done by the caller itself.
    """
    if len(arguments) == 1:
        return [work(*arguments[0])]
    waiting = [_pool().submit(work, *one) for one in arguments[1:]]
    first = work(*arguments[0])
    return [first, *(one.result() for one in waiting)]


_POOLS: dict[int, ThreadPoolExecutor] = {}


def _pool() -> ThreadPoolExecutor:
    """The threads of this process: a fork has none of its parent's."""
    if os.getpid() not in _POOLS:
        _POOLS.clear()
        _POOLS[os.getpid()] = ThreadPoolExecutor(os.cpu_count(), "purify")
    return _POOLS[os.getpid()]


class _SturdyCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one kernel, where a file that cannot be used is a file that is not there.

    Numba lets every error of a cache file through, at each start until someone deletes it
    (numba/numba#10434).
    """

    _warned = False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel, or None: then it is compiled, and its files replaced."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling half a file may raise anything
            self._warn("cannot be read", error)
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled kernel, if that can be done."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            self._warn("cannot be written", error)

    def _warn(self, what: str, error: Exception) -> None:
        if not _SturdyCache._warned:
            _SturdyCache._warned = True
            LOG.warning("%s: a compiled kernel %s (%s): compiling it anew", self.cache_path, what,
                        getattr(error, "strerror", None) or type(error).__name__)


@contextmanager
def _absolute_cache_home() -> Iterator[None]:
    """Hide an empty or relative XDG_CACHE_HOME, which would put a folder where the user stands.

    The XDG specification calls such a value unset; Numba joins it with its own name.
    """
    given = os.environ.get("XDG_CACHE_HOME")
    places = [place for place in (given, os.path.expanduser("~/.cache"), os.devnull)
              if place and os.path.isabs(place)]
    os.environ["XDG_CACHE_HOME"] = places[0]  # below the null device nothing can be made
    try:
        yield
    finally:
        if given is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = given
