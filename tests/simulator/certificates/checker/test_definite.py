"""The shift makes the matrix semidefinite in real arithmetic, and is zero where it can be."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.certificates.checker.definite import shift_to_definite


def exact_matrix(W, mu, lam, shift):
    d = W.shape[1]
    F = [[Fraction(float(value)) for value in row] for row in W]
    return [[(Fraction(float(lam[i])) + shift if i == j else 0)
             - sum(Fraction(float(mu[k])) * F[k][i] * F[k][j] for k in range(len(F)))
             for j in range(d)] for i in range(d)]


def is_semidefinite(P):
    """By elimination in fractions: a pivot below 0, or one of 0 beside an entry, says no."""
    P = [row[:] for row in P]
    for k in range(len(P)):
        if P[k][k] < 0 or (P[k][k] == 0 and any(P[k][j] != 0 for j in range(k + 1, len(P)))):
            return False
        for i in range(k + 1, len(P)):
            if P[k][k] != 0:
                share = P[i][k] / P[k][k]
                P[i] = [a - share * b for a, b in zip(P[i], P[k])]
    return True


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), p=st.integers(0, 5), d=st.integers(1, 4),
       size=st.integers(-300, 300))
def test_the_shifted_matrix_is_semidefinite_in_fractions(seed, p, d, size):
    rng = np.random.default_rng(seed)
    W, mu = rng.standard_normal((p, d)), rng.choice([-1.0, 0.0, 1.0, 2.0], p)
    lam = rng.uniform(0.0, 3.0, d) * rng.integers(0, 2)
    W, lam, mu = np.ldexp(W, size // 2), np.ldexp(lam, size), np.ldexp(mu, size % 2)
    shift = shift_to_definite(W, mu, lam).fraction()
    assert shift >= 0
    assert is_semidefinite(exact_matrix(W, mu, lam, shift))


@pytest.mark.parametrize("scale", [1e-90, 1.0, 1e90])
def test_the_shift_is_nothing_where_the_matrix_is_definite_and_near_the_least_where_not(scale):
    rng = np.random.default_rng(0)
    W, mu = rng.standard_normal((50, 20)), rng.uniform(0.0, 1.0, 50)
    top = np.linalg.eigvalsh((W.T * mu) @ W)[-1]
    for room, expected in ((1e-9, 0.0), (-1e-3, 1e-3 * top)):
        lam = np.full(20, (1.0 + room) * top)
        shift = float(shift_to_definite(W, scale * mu, scale * lam).fraction()) / scale
        assert shift == pytest.approx(expected, rel=1e-6)


def test_a_matrix_on_the_edge_costs_rounding_alone():
    shift = float(shift_to_definite(np.ones((1, 3)), np.ones(1), np.full(3, 3.0)).fraction())
    assert 0.0 < shift < 1e-12


def test_curvatures_that_overflow_are_refused():
    with pytest.raises(ValueError, match="curvatures: expected numbers of the size of lam"):
        shift_to_definite(np.ones((1, 2)), np.full(1, 1e300), np.full(2, 1e-300))
