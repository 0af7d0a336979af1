"""Products of a few rows by a large matrix."""

import numpy as np
import pytest

from simulator.networks import few_rows


@pytest.fixture(params=[1, 1 << 30])
def least(request, monkeypatch):
    """By the kernels, on one thread or two, and by BLAS."""
    monkeypatch.setattr(few_rows, "LARGE", request.param)
    monkeypatch.setattr(few_rows, "LEAST", 2)


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 9, 30])
@pytest.mark.parametrize("m, d", [(4, 5), (7, 1), (1, 6), (11, 13)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_are_those_of_a_loop(rows, m, d, dtype, least):
    rng = np.random.default_rng(rows)
    A, X, W = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, m), (rows, d), (m, d)))
    sums, products = np.zeros((rows, d)), np.zeros((rows, m))
    for row in range(rows):
        for i in range(m):
            for j in range(d):
                sums[row, j] += float(A[row, i]) * float(W[i, j])
                products[row, i] += float(X[row, j]) * float(W[i, j])
    out = np.full((rows, m), np.nan, dtype)
    for found, expected in ((few_rows.sums(A, W), sums), (few_rows.products(X, W), products),
                            (few_rows.products(X, W, out), products)):
        assert found.shape == expected.shape and found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert few_rows.products(X, W, out) is out


def test_nan_stays(least):
    A, W = np.ones((2, 5), np.float32), np.ones((5, 3), np.float32)
    A[1, 2] = np.nan
    W[3, 1] = np.inf
    assert np.array_equal(np.isnan(few_rows.sums(A, W)), [[False] * 3, [True] * 3])
    X = np.ones((2, 3), np.float32)
    X[0, 2] = np.nan
    assert np.array_equal(np.isnan(few_rows.products(X, W)), [[True] * 5, [False] * 5])
