"""The Numba decorator: NaN survives, and a place without a writable cache still works."""

import math

import numba
import numpy as np
import pytest

from simulator import jit


@jit.kernel
def _classify(values, finite):
    for i in range(len(values)):
        finite[i] = math.isfinite(values[i])


@jit.parallel_kernel
def _double(values, out):
    for i in numba.prange(len(values)):
        out[i] = 2.0 * values[i]


def test_a_kernel_tells_nan_and_infinity_from_numbers():
    # with fastmath isnan(nan) is False and isfinite(inf) is True
    finite = np.empty(4, bool)
    _classify(np.array([np.nan, np.inf, -np.inf, 1.0]), finite)
    assert finite.tolist() == [False, False, False, True]


def test_a_parallel_kernel_writes_every_element():
    values, out = np.arange(1000.0), np.empty(1000)
    _double(values, out)
    assert np.array_equal(out, 2.0 * values)


class _Uncached:
    asked = False

    def enable_caching(self):
        self.asked = True
        raise RuntimeError("cannot cache function: no locator available")


@pytest.mark.parametrize("decorate", [jit.kernel, jit.parallel_kernel])
def test_where_no_cache_can_be_written_the_kernel_is_compiled_without(monkeypatch, decorate):
    dispatcher, options = _Uncached(), {}

    def njit(**given):
        options.update(given)
        return lambda function: dispatcher

    monkeypatch.setattr(jit.numba, "njit", njit)
    monkeypatch.setattr(jit.numba.config, "DISABLE_JIT", 0)
    assert decorate(len) is dispatcher
    assert dispatcher.asked
    assert not options.get("fastmath", False)
    assert options.get("parallel", False) == (decorate is jit.parallel_kernel)
