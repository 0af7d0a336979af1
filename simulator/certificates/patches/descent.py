"""Upper bounds: the worst perturbation of every patch for itself.

Against one rival class the margin is a sum over patches and every patch has a ball of its own,
so the worst perturbation of a sample is the worst one of each patch. Projected gradient
descent of ``phi(delta) = sum_k sign_k sigma(t_k + <w_k, delta>)`` runs in the span of the
neurons, ``delta = sum_k b_k w_k``, where a step needs one product with the Gram matrix, and
from the best of several starts for each patch: a far stronger attack than one start for all.
"""

import numpy as np

from simulator.certificates.patches.problem import PatchProblem
from simulator.jit import kernel

__all__ = ["attack_patches", "descend"]

STEPS = 60


def attack_patches(problem: PatchProblem) -> tuple[np.ndarray, np.ndarray]:
    """Attack every patch from zero, from its strongest rival neurons and against its own.

    Parameters
    ----------
    problem : PatchProblem

    Returns
    -------
    values : ndarray, shape (P,)
        The least phi met.
    coefficients : ndarray, shape (P, 2 m)
        b, with ``||sum_k b_k w_k|| <= radius`` up to rounding.
    """
    T, m, reach = problem.T, problem.own, problem.reach
    patches = np.arange(len(T))
    strongest = m + np.argsort(-(T + reach)[:, m:], axis=1, kind="stable")[:, :2]
    against = np.argsort(-T[:, :m], axis=1, kind="stable")[:, :1]
    values, best = np.full(len(T), np.inf), np.zeros_like(T)
    for neurons in (None, *strongest.T, *against.T):
        b = np.zeros_like(T)
        if neurons is not None:
            b[patches, neurons] = np.where(neurons < m, -1.0, 1.0) * problem.radius ** 2 / (
                np.maximum(reach[neurons], np.finfo(float).tiny))
        found = descend(problem, patches, b)
        better = found < values
        values[better], best[better] = found[better], b[better]
    return values, best


def descend(problem: PatchProblem, patches: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Descend from given perturbations, projected on the ball first.

    Parameters
    ----------
    problem : PatchProblem
    patches : ndarray of int, shape (c,)
    b : ndarray, shape (c, 2 m)
        Coefficients, replaced in place by those of the least value met.

    Returns
    -------
    ndarray, shape (c,)
        phi there.
    """
    values = np.empty(len(patches))
    _descend_all(problem.gram, problem.own, problem.T, problem.q, problem.rho, problem.radius,
                 patches, b, STEPS, values)
    return values


@kernel
def _descend_all(G, own, T, q, rho, radius, patches, b, steps, values):
    for c in range(len(patches)):
        values[c] = _descend(G, own, T[patches[c]], q, rho, radius, b[c], steps)


@kernel
def _sigma(z, q, rho):
    if z <= 0.0:
        return 0.0
    if z >= rho:
        return z - (1.0 - 1.0 / q) * rho
    return rho / q * (z / rho) ** q


@kernel
def _slope(z, q, rho):
    if z <= 0.0:
        return 0.0
    return 1.0 if z >= rho else (z / rho) ** (q - 1.0)


@kernel
def _gram_product(G, a, out):
    out[:] = 0.0
    for j in range(len(a)):
        if a[j] != 0.0:
            for i in range(len(a)):
                out[i] += G[j, i] * a[j]


@kernel
def _patch_value(own, t, moved, q, rho):
    total = 0.0
    for k in range(len(t)):
        z = _sigma(t[k] + moved[k], q, rho)
        total += z if k < own else -z
    return total


@kernel
def _descend(G, own, t, q, rho, radius, b, steps):
    """Projected gradient descent of ``phi`` from ``delta = W^T b``, in place; returns phi."""
    r = len(t)
    moved, other, trial = np.empty(r), np.empty(r), np.empty(r)
    _gram_product(G, b, moved)
    square = 0.0
    for k in range(r):
        square += b[k] * moved[k]
    shrink = min(1.0, radius / np.sqrt(max(square, 1e-300)))
    for k in range(r):
        b[k] *= shrink
        moved[k] *= shrink
    value = _patch_value(own, t, moved, q, rho)
    pace = 1.0
    for step in range(steps):
        length = 0.0
        for k in range(r):
            trial[k] = _slope(t[k] + moved[k], q, rho) * (-1.0 if k < own else 1.0)
        _gram_product(G, trial, other)
        for k in range(r):
            length += trial[k] * other[k]
        if length <= 0.0:
            break
        length = np.sqrt(length)
        square = 0.0
        for k in range(r):  # W delta moves with it, so no further product
            trial[k] = b[k] + pace * radius / length * trial[k]
            other[k] = moved[k] + pace * radius / length * other[k]
            square += trial[k] * other[k]
        shrink = min(1.0, radius / np.sqrt(max(square, 1e-300)))
        for k in range(r):
            trial[k] *= shrink
            other[k] *= shrink
        found = _patch_value(own, t, other, q, rho)
        if found < value:
            if value - found <= 1e-12 + 1e-9 * abs(value) and pace <= 1.0:
                pace = 0.0
            value = found
            b[:], moved[:] = trial, other
            pace *= 3.0
        else:
            pace *= 0.3
        if pace < 1e-4:
            break
    return value
