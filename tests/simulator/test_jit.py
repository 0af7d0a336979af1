"""The Numba decorator: NaN survives, and no state of the cache keeps a kernel from working."""

import logging
import math
import os

import numba
import numpy as np
import pytest

from simulator import jit

COMPILED = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@jit.kernel
def _classify(values, finite):
    for i in range(len(values)):
        finite[i] = math.isfinite(values[i])


def test_a_kernel_tells_nan_and_infinity_from_numbers():
    # with fastmath isnan(nan) is False and isfinite(inf) is True
    finite = np.empty(4, bool)
    _classify(np.array([np.nan, np.inf, -np.inf, 1.0]), finite)
    assert finite.tolist() == [False, False, False, True]


class _Uncached:
    asked = False

    def enable_caching(self):
        self.asked = True
        raise RuntimeError("cannot cache function: no locator available")


def test_where_no_cache_can_be_written_the_kernel_is_compiled_without(monkeypatch):
    dispatcher, options = _Uncached(), {}

    def njit(**given):
        options.update(given)
        return lambda function: dispatcher

    monkeypatch.setattr(jit.numba, "njit", njit)
    monkeypatch.setattr(jit.numba.config, "DISABLE_JIT", 0)
    assert jit.kernel(len) is dispatcher
    assert dispatcher.asked
    assert not options.get("fastmath", False) and not options.get("parallel", False)


def _twice(x):
    return 2.0 * x


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder that Numba caches in, with one compiled kernel in it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit._SturdyCache, "_warned", False)
    assert jit.kernel(_twice)(1.5) == 3.0
    return tmp_path


def _hits(kernel):
    return sum(kernel.stats.cache_hits.values())


@COMPILED
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("left", [0, 1, 100, -1])
def test_a_truncated_cache_file_is_replaced_with_one_warning(cache, caplog, ending, left):
    (path,) = cache.rglob(f"*.{ending}")
    path.write_bytes(path.read_bytes()[:left])
    with caplog.at_level(logging.WARNING, "purify"):
        again = jit.kernel(_twice)
        assert again(1.5) == 3.0 and _hits(again) == 0
        (warning,) = caplog.messages
        assert warning.startswith(f"{path.parent}: a compiled kernel cannot be read (")
        mended = jit.kernel(_twice)
        assert mended(1.5) == 3.0 and _hits(mended) == 1
    assert caplog.messages == [warning]


@COMPILED
@pytest.mark.parametrize("content", [b"not a pickle", b"\x80\x04cno_such_module\nname\n.",
                                     b"\x80\x04N."])
def test_a_cache_file_of_another_kind_is_replaced(cache, content):
    for path in list(cache.rglob("*.nb?")):
        path.write_bytes(content)
        again = jit.kernel(_twice)
        assert again(1.5) == 3.0
    assert _hits(_called(jit.kernel(_twice))) == 1


def _called(kernel):
    kernel(1.5)
    return kernel


@COMPILED
def test_a_cache_that_cannot_be_written_is_one_warning(cache, monkeypatch, caplog):
    def full(self, path):
        raise OSError(28, "No space left on device")

    for path in list(cache.rglob("*.nb?")):
        path.unlink()
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._open_for_write", full)
    with caplog.at_level(logging.WARNING, "purify"):
        for _ in range(2):
            assert jit.kernel(_twice)(1.5) == 3.0
    (record,) = caplog.records
    assert "cannot be written (No space left on device): compiling it anew" in record.getMessage()


@pytest.mark.parametrize("home", ["", "relative", None])
def test_no_folder_is_left_where_the_user_stands(tmp_path, monkeypatch, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    # no place beside the source either, as in a read-only install
    from numba.core import caching
    locators = [getattr(caching, name) for name in dir(caching) if "UserWideCache" in name]
    monkeypatch.setattr(caching.CacheImpl if hasattr(caching, "CacheImpl") else caching._CacheImpl,
                        "_locator_classes", locators)
    monkeypatch.setenv("HOME", "/proc/nope")
    if home is None:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert jit.kernel(_twice)(1.5) == 3.0
    assert list(tmp_path.iterdir()) == [] and os.environ.get("XDG_CACHE_HOME") == home
