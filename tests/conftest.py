"""Settings and fixtures shared by all tests.

Every random number of the suite comes from a fixed seed, hypothesis included, so that a
failure can be repeated by running the test again.
"""

import os
import signal
import sys
from contextlib import contextmanager

# One BLAS thread: the last bits of a matrix product depend on the thread count, and several
# tests compare bits. It must be set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Bytecode is kept beside the kernels, whatever the environment says: a hundred processes are
# started here, and each would compile the sources anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=40,
                          database=None)
settings.load_profile("fixed")


# Kernels as Python are what coverage can see, and a hundred times as slow: without the compiler a
# test is left after so many seconds of its process, with the lines seen that it came to.
PATIENCE = float(os.environ.get("PURIFY_TEST_PATIENCE", "20"))
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


@contextmanager
def _clock():
    """Give what is inside its seconds; then the test that they are for is skipped."""
    def ring(number, frame):
        pytest.skip("too slow without the compiler")  # within a fixture pytest keeps it for all

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


if INTERPRETED:
    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(pyfuncitem):
        """Call the test, but not for ever."""
        with _clock():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(fixturedef, request):
        """Make the fixture, but not for ever."""
        with _clock():
            return (yield)


# One worker compiles most kernels in the runs of every paper, while the other takes files that
# need few: two that compile the same kernels at once are half a minute late. Then the longest
# files, so that no worker is alone with one of them at the end.
FIRST = ("experiments/test_contract", "drawing/test_style", "house/test_readmes",
         "house/test_rules", "house/test_layering", "drawing/test_claims",
         "drawing/test_benchmark", "feature_purification/test_experiment",
         "test_dense_mixtures", "theory/test_report", "test_phase_picture",
         "sweeps/test_dask", "sweeps/test_local", "runs/test_reproducibility",
         "scripts/test_examples", "scripts/test_verify", "scripts/test_simulate",
         "scripts/test_benchmark_certificates", "sweeps/test_sweep", "runs/test_cost",
         "certificates/test_rounding")


def pytest_configure(config):
    """Let the order below count for whole files too."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Bring these files to the front, and leave the order within a file alone."""
    def place(item):
        return next((number for number, name in enumerate(FIRST)
                     if f"{name}.py::" in item.nodeid), len(FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def no_power_cut():
    """Let no file be flushed to the disk: a test kills processes, not the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def rng():
    """A generator with a fixed seed, new for each test."""
    return np.random.default_rng(20200520)


@pytest.fixture(scope="module")
def brief_attacks():
    """Runs of this process attack with a tenth of the steps, which are most of a small run.

    And the page of a sweep has one panel in the place of nine: it is looked at in
    tests/theory/pages/test_sweep.py.
    """
    from small import shorten_attacks  # here: whoever only hands out tests needs no simulator
    with pytest.MonkeyPatch.context() as patch:
        shorten_attacks(patch)
        patch.setattr("theory.pages.sweep.MOST_SHOWN", 1)
        yield
