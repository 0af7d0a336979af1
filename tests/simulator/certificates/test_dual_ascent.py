"""The steps of dual ascent, and the twin that the kernels of patches carry."""

import numpy as np
import pytest

from simulator.certificates import dual_ascent
from simulator.certificates.patches import bounds


def test_the_ascent_is_that_of_the_other_certificates():
    rng = np.random.default_rng(0)
    x, moments = rng.standard_normal(5), np.zeros((2, 5))
    other, others = x.copy(), np.zeros((2, 5))
    for step in range(20):
        gradient = rng.standard_normal(5)
        dual_ascent.ascend(x, gradient, moments, step, 0.1)
        bounds._adam(other, gradient, others, step, 0.1)
    # the guard 1e-8 against gradients of size 1, over twenty steps of .1
    np.testing.assert_allclose(x, other, atol=2e-6)
    assert np.array_equal(moments, others)


@pytest.mark.parametrize("p", [1, 3, 9])
def test_gram_and_weights_say_alike_what_is_definite(p):
    """With ``lam`` just above and just below the largest eigenvalue of ``W^T diag(mu) W``."""
    rng = np.random.default_rng(p)
    W, mu = rng.standard_normal((12, 10)), np.zeros(12)
    mu[:p] = rng.uniform(0.5, 2.0, p)
    top = float(np.linalg.eigvalsh((W.T * mu) @ W)[-1])
    for share, definite in ((1.0 + 1e-9, True), (1.0 - 1e-9, False)):
        lam = np.array([share * top])
        for gram in (None, W @ W.T):
            assert dual_ascent.is_definite(W, mu, lam, gram) == definite


def test_what_rounding_decides_is_not_called_definite():
    W = np.random.default_rng(0).standard_normal((4, 10))
    mu = np.ones(4)
    lam = np.array([float(np.linalg.eigvalsh(W @ W.T)[-1])])
    assert not dual_ascent.is_definite(W, mu, lam, W @ W.T)


def test_every_solver_solves():
    rng = np.random.default_rng(1)
    W, mu, c = rng.standard_normal((3, 6)), rng.uniform(0.1, 0.2, 3), rng.standard_normal(6)
    lam = np.array([10.0])
    P = lam * np.eye(6) - (W.T * mu) @ W
    for gram in (None, W @ W.T):
        solve = dual_ascent.inverse(W, gram, mu, lam)
        np.testing.assert_allclose(P @ solve(c), c, rtol=1e-6)
        small = dual_ascent.inverse(W.astype(np.float32), None if gram is None else
                                    gram.astype(np.float32), mu, lam)(c)
        assert small.dtype == np.float64
        np.testing.assert_allclose(P @ small, c, rtol=1e-3)
    assert dual_ascent.inverse(W, W @ W.T, 100.0 * mu, lam) is None
    assert dual_ascent.inverse(W, None, 100.0 * mu, lam) is None
