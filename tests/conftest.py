"""Settings and fixtures shared by all tests.

Every random number of the suite comes from a fixed seed, hypothesis included, so that a
failure can be repeated by running the test again.
"""

import os

# One BLAS thread: the last bits of a matrix product depend on the thread count, and several
# tests compare bits. It must be set before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=40,
                          database=None)
settings.load_profile("fixed")


@pytest.fixture
def rng():
    """A generator with a fixed seed, new for each test."""
    return np.random.default_rng(20200520)
